"""What arrives on an open WebSocket, from a worker that shares nothing but the database."""

from __future__ import annotations

import asyncio
import logging
import math
import socket as sockets
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.exceptions import ConnectionClosedError

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from tests.support.api import Api, Settings, SignedUp, running_api
from tests.support.conditions import eventually
from tests.support.sockets import READY, RESYNC, Event, LiveSocket, socket, watching
from tests.support.store import Store
from tests.support.workers import running_worker

Payload = dict[str, Any]

# So many jobs of one statement are told one by one (submit.sql).
NAMED_AT_ONCE = 100
# Three kilobytes or so, to fill buffers with few events.
LARGE_TAGS = ["\N{SAILBOAT}" * 49 + chr(0x1F600 + number) for number in range(20)]

SUMMARY = {
    *("id", "type", "queue", "priority", "status", "attempts", "max_attempts", "run_at"),
    *("timeout_ms", "idempotency_key", "tags", "payload_preview", "error_preview", "progress"),
    *("progress_note", "cancel_requested_at", "version", "created_at", "updated_at"),
    *("started_at", "finished_at", "concurrency_key", "rate_key", "expires_at", "name"),
    "on_dependency_failure",
}


@handler("noop")
async def noop(job: Payload, ctx: JobContext) -> None: ...


@handler("break")
async def broken(job: Payload, ctx: JobContext) -> None:
    raise ValueError("out of rope")


async def test_a_job_is_seen_from_its_submission_to_its_end(api: Api, elsewhere: Store) -> None:
    may_end = asyncio.Event()

    @handler("gate")
    async def gate(job: Payload, ctx: JobContext) -> dict[str, str]:
        ctx.progress(0.5)
        await may_end.wait()
        return {"secret": "the result"}

    user = await api.a_user()
    async with watching(api, user) as live:
        job = await submit(user, type="gate", payload={"big": "x" * 1_000})
        events = await live.until("job.queued")
        async with running_worker(elsewhere, [gate]):
            events += await live.until("job.running")
            events += await live.until("job.progress")
            may_end.set()
            events += await live.until("job.succeeded")

    assert {each["job"]["id"] for each in events} == {job["id"]}
    assert all(set(each["job"]) == SUMMARY for each in events)
    assert [each["event"] for each in events] == [
        "job.queued",
        "job.running",
        "job.progress",
        "job.succeeded",
    ]
    versions = [each["job"]["version"] for each in events]
    assert versions == sorted(set(versions))
    shown = [each["job"] for each in events]
    assert [each["progress"] for each in shown] == [None, None, 0.5, 0.5]
    assert len(shown[0]["payload_preview"]) == 200
    assert (await look_at(user, job))["version"] == versions[-1]


async def test_failures_cancels_and_retries_are_told(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()
    async with watching(api, user) as live:
        later = await submit(user, type="noop", run_at="2100-01-01T00:00:00Z")
        assert (await live.next())["event"] == "job.scheduled"
        await user.client.post(f"/v1/jobs/{later['id']}/cancel")
        assert (await live.next())["event"] == "job.canceled"
        await user.client.post(f"/v1/jobs/{later['id']}/retry")
        assert (await live.next())["event"] == "job.queued"

        async with running_worker(elsewhere, [noop, broken]):
            await live.until("job.succeeded")
            await submit(user, type="break", max_attempts=1)
            failed = (await live.until("job.failed"))[-1]["job"]

    assert failed["error_preview"] == "ValueError: out of rope"


async def test_the_events_of_others_never_arrive(api: Api, elsewhere: Store) -> None:
    ada, eve = await api.a_user(), await api.a_user()
    async with (
        watching(api, ada) as of_ada,
        watching(api, eve) as of_eve,
        running_worker(elsewhere, [noop]),
    ):
        submissions = [submit(user, type="noop") for user in [ada, eve] * 30]
        jobs = await asyncio.gather(*submissions)
        ids = {each["id"] for each in jobs[::2]}, {each["id"] for each in jobs[1::2]}
        heard = await asyncio.gather(until_done(of_ada, ids[0]), until_done(of_eve, ids[1]))

    assert {each["job"]["id"] for each in heard[0]} == ids[0]
    assert {each["job"]["id"] for each in heard[1]} == ids[1]


async def test_all_sockets_of_a_user_hear_the_same(api: Api) -> None:
    user = await api.a_user()
    async with watching(api, user) as one, watching(api, user) as another:
        await submit(user, type="noop")
        assert await one.next() == await another.next()


async def test_a_deletion_asks_for_a_fresh_look(api: Api) -> None:
    user = await api.a_user()
    job = await submit(user, type="noop")
    await user.client.post(f"/v1/jobs/{job['id']}/cancel")
    async with watching(api, user) as live:
        assert (await user.client.delete(f"/v1/jobs/{job['id']}")).status_code == 204
        assert (await live.until("resync"))[-1] == RESYNC


async def test_more_at_once_than_anybody_could_read_asks_for_a_fresh_look(api: Api) -> None:
    user = await api.a_user()
    async with watching(api, user) as live:
        await submit_batch(user, NAMED_AT_ONCE + 1, type="noop")
        assert await live.next() == RESYNC
        last = await submit(user, type="noop")
        assert (await live.next())["job"]["id"] == last["id"]


async def test_a_reader_who_is_too_slow_is_told_to_look_again(database_url: str) -> None:
    """It takes nothing in until more has happened than buffers and the server's limit hold."""
    async with running_api(database_url, Settings(events_per_s=math.inf)) as api:
        user = await api.a_user()
        narrow = a_narrow_connection(api)
        token = user.session["access_token"]
        async with (
            watching(api, user) as quick,
            socket(api, token, compression=None, **narrow) as slow,
        ):
            assert await slow.next() == READY
            for _ in range(36):
                batch = await submit_batch(user, NAMED_AT_ONCE, type="noop", tags=LARGE_TAGS)
                await until_heard(quick, batch)

            heard = await slow.until("resync")
            last = await submit(user, type="noop")
            later = [await slow.next()]
            while later[-1]["job"]["id"] != last["id"]:
                later.append(await slow.next())

    assert len(heard) + len(later) < 36 * NAMED_AT_ONCE


async def test_a_reader_who_has_stopped_for_good_is_hung_up_on(database_url: str) -> None:
    """It answers no ping, and what was sent to it before would never leave the buffers."""
    async with running_api(database_url, Settings(pong_s=0.5, events_per_s=math.inf)) as api:
        user = await api.a_user()
        narrow = a_narrow_connection(api)
        port = narrow["sock"].getsockname()[1]
        token = user.session["access_token"]
        async with socket(api, token, compression=None, **narrow) as stopped:
            for _ in range(36):
                await submit_batch(user, NAMED_AT_ONCE, type="noop", tags=LARGE_TAGS)
            await eventually(lambda: not is_connected(port))
            with pytest.raises(ConnectionClosedError):
                await stopped.until("never told")  # whatever came through before


async def test_a_lost_wake_up_connection_loses_no_event(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()
    async with watching(api, user) as live, running_worker(elsewhere, [noop]):
        first = await submit(user, type="noop")
        await until_done(live, {first["id"]})
        assert await cut_wakeups(api.store) >= 2
        jobs = [await submit(user, type="noop") for _ in range(10)]
        await until_done(live, {each["id"] for each in jobs})
        await eventually(lambda: listens_again(api.store))
        await until_done(live, {(await submit(user, type="noop"))["id"]})


async def test_a_client_that_leaves_is_forgotten_quietly(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    user = await api.a_user()
    async with watching(api, user) as leaving, watching(api, user) as staying:
        leaving.connection.transport.abort()
        for _ in range(3):
            await submit(user, type="noop")
            assert (await staying.next())["event"] == "job.queued"
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def submit(user: SignedUp, **fields: Any) -> dict[str, Any]:
    answer = await user.client.post("/v1/jobs", json=fields)
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()["data"]
    return job


async def submit_batch(user: SignedUp, count: int, **fields: Any) -> set[str]:
    answer = await user.client.post("/v1/jobs/batch", json={"jobs": [fields] * count})
    assert answer.status_code == 201, answer.text
    return {each["id"] for each in answer.json()["data"]["jobs"]}


async def look_at(user: SignedUp, job: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = (await user.client.get(f"/v1/jobs/{job['id']}")).json()["data"]
    return data


async def until_done(live: LiveSocket, ids: set[str]) -> list[Event]:
    """Listen until all these jobs have succeeded."""
    events: list[Event] = []
    missing = set(ids)
    while missing:
        events.append(await live.next())
        if events[-1]["event"] == "job.succeeded":
            missing.discard(events[-1]["job"]["id"])
    return events


async def until_heard(live: LiveSocket, ids: set[str]) -> None:
    missing = set(ids)
    while missing:
        missing.discard((await live.next())["job"]["id"])


def a_narrow_connection(api: Api) -> dict[str, Any]:
    """Options of a socket that holds little, on its own side and in the kernel."""
    connection = sockets.socket()
    connection.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    connection.connect((urlsplit(api.url).hostname, urlsplit(api.url).port))
    connection.settimeout(0)
    return {"sock": connection, "max_queue": 1}


def is_connected(port: int) -> bool:
    """Whether the server's end of a client's connection is there."""
    connections = psutil.Process().net_connections("tcp")
    established = [each for each in connections if each.status == psutil.CONN_ESTABLISHED]
    return any(each.raddr.port == port for each in established)


LISTENERS = "datname = current_database() and application_name like '%wake-ups'"


async def cut_wakeups(store: Store) -> int:
    cut = f"select count(pg_terminate_backend(pid)) from pg_stat_activity where {LISTENERS}"  # noqa: S608
    async with store.database.hot() as connection:
        return int(await connection.fetchval(cut))


async def listens_again(store: Store) -> bool:
    count = f"select count(*) from pg_stat_activity where {LISTENERS}"  # noqa: S608
    async with store.database.hot() as connection:
        return int(await connection.fetchval(count)) >= 2
