"""What a handler says while it runs, as the owner of its job sees it."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from internal.domain.attempt_log import (
    LINES_AT_ONCE,
    MAX_LINE_CHARS,
    MAX_LINES,
    MAX_NOTE_CHARS,
)
from tests.support.api import Api, SignedUp
from tests.support.conditions import eventually
from tests.support.routes import attempts_of, becomes, data_of, error_of, submit
from tests.support.sockets import watching
from tests.support.store import Store
from tests.support.workers import SETTINGS, RunningWorker, running_worker
from windlass import Handler, JobContext, Retry, handler

Payload = dict[str, Any]
Data = dict[str, Any]


class Gate:
    """Where a handler waits until its test lets it go on; threads may as well."""

    def __init__(self) -> None:
        self._open = threading.Event()

    async def passed(self) -> None:
        await eventually(self._open.is_set, within_s=60)

    def open(self) -> None:
        self._open.set()


def working(store: Store, *handlers: Handler) -> AbstractAsyncContextManager[RunningWorker]:
    return running_worker(store, handlers)


async def lines_of(user: SignedUp, job: Data, **query: Any) -> list[str]:
    return [each["line"] for each in await data_of(user, f"{job['id']}/logs", **query)]


async def test_a_note_is_shown_beside_the_progress_and_kept_with_the_attempt(
    api: Api, elsewhere: Store
) -> None:
    gate, user = Gate(), await api.a_user()

    @handler("notes")
    async def notes(job: Payload, ctx: JobContext) -> None:
        ctx.progress(0.25, "unpacked\0 \ud800")
        await gate.passed()
        ctx.progress(0.75)

    async with watching(api, user) as live, working(elsewhere, notes):
        job = await submit(user, type="notes")
        told = (await live.until("job.progress"))[-1]["job"]
        running = await data_of(user, job["id"])
        (attempt,) = await attempts_of(user, job["id"])
        gate.open()
        ended = (await live.until("job.succeeded"))[-1]["job"]

    for shown in (told, running, attempt):
        assert (shown["progress"], shown["progress_note"]) == (0.25, "unpacked� ?")
    (attempt,) = await attempts_of(user, job["id"])
    for shown in (ended, await data_of(user, job["id"]), attempt):
        assert (shown["progress"], shown["progress_note"]) == (0.75, "unpacked� ?")


async def test_a_note_that_comes_with_the_end_is_cut_and_stays_with_its_attempt(
    api: Api, elsewhere: Store
) -> None:
    user = await api.a_user()

    @handler("last words")
    async def last_words(job: Payload, ctx: JobContext) -> None:
        if ctx.attempt == 1:
            ctx.progress(0.5, "n" * 1_000)
            raise Retry("again", after="1ms")

    async with working(elsewhere, last_words):
        job = await submit(user, type="last words")
        done = await becomes(user, job, "succeeded")

    first, second = await attempts_of(user, job["id"])
    assert (first["progress"], first["progress_note"]) == (0.5, "n" * (MAX_NOTE_CHARS - 1) + "…")
    assert (second["progress"], second["progress_note"]) == (None, None)
    assert (done["progress"], done["progress_note"]) == (None, None)


async def test_log_lines_are_read_in_order_by_page_and_by_attempt(
    api: Api, elsewhere: Store
) -> None:
    user = await api.a_user()

    @handler("counts")
    async def counts(job: Payload, ctx: JobContext) -> None:
        for number in range(5):
            ctx.log(f"{ctx.attempt}.{number}")
        if ctx.attempt < 3:
            raise Retry(after="1ms")

    async with working(elsewhere, counts):
        job = await submit(user, type="counts")
        await becomes(user, job, "succeeded")

    everything = [f"{attempt}.{number}" for attempt in (1, 2, 3) for number in range(5)]
    lines = await data_of(user, f"{job['id']}/logs")
    assert [(each["attempt"], each["line"]) for each in lines] == [
        (int(line[0]), line) for line in everything
    ]
    for attempt in (1, 2, 3):
        times = [each["at"] for each in lines if each["attempt"] == attempt]
        assert times == sorted(times)
        assert all(each.endswith("Z") for each in times)
    assert await pages_of(user, job, limit=4) == everything
    assert await pages_of(user, job, limit=5) == everything
    assert await pages_of(user, job, limit=2, attempt=2) == everything[5:10]
    assert await lines_of(user, job, attempt=4) == []


async def pages_of(user: SignedUp, job: Data, **query: Any) -> list[str]:
    """All lines, page by page."""
    lines: list[str] = []
    while True:
        answer = (await user.client.get(f"/v1/jobs/{job['id']}/logs", params=query)).json()
        assert len(answer["data"]) <= query["limit"]
        lines += [each["line"] for each in answer["data"]]
        if answer["next_cursor"] is None:
            return lines
        query["cursor"] = answer["next_cursor"]


async def test_of_a_flood_of_lines_the_first_are_kept_and_the_others_counted(
    api: Api, elsewhere: Store
) -> None:
    user, sent = await api.a_user(), MAX_LINES + 500

    @handler("flood")
    async def flood(job: Payload, ctx: JobContext) -> None:
        ctx.log("x" * 10_000)
        ctx.log("two\nlines\0 and \ud800")
        for number in range(sent - 2):
            ctx.log(number)

    async with working(elsewhere, flood):
        job = await submit(user, type="flood")
        await becomes(user, job, "succeeded")

    first, second, *lines, last = await lines_of(user, job, limit=1_000)
    assert first == "x" * (MAX_LINE_CHARS - 1) + "…"
    assert second == "two\nlines� and ?"
    assert lines[: LINES_AT_ONCE - 2] == [str(number) for number in range(LINES_AT_ONCE - 2)]
    dropped = re.match(r"([\d,]+) lines were dropped", last)
    assert dropped is not None
    assert int(dropped[1].replace(",", "")) == sent - 2 - len(lines)


async def test_the_threads_of_a_sync_handler_may_all_log(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()

    @handler("threads")
    def threads(job: Payload, ctx: JobContext) -> None:
        def write(name: str) -> None:
            for number in range(20):
                ctx.log(f"{name}{number}")

        all_ = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
        for each in all_:
            each.start()
        for each in all_:
            each.join()

    async with working(elsewhere, threads):
        job = await submit(user, type="threads")
        await becomes(user, job, "succeeded")

    lines = await lines_of(user, job)
    assert len(lines) == 80
    for name in "abcd":
        own = [line for line in lines if line.startswith(name)]
        assert own == [f"{name}{number}" for number in range(20)]


async def test_lines_are_seen_while_the_job_runs_and_only_its_owner_is_told(
    api: Api, elsewhere: Store
) -> None:
    gate, ada, eve = Gate(), await api.a_user(), await api.a_user()

    @handler("gate")
    async def waiting(job: Payload, ctx: JobContext) -> None:
        ctx.log("before")
        await gate.passed()
        ctx.log("after")

    async with (
        watching(api, ada) as of_ada,
        watching(api, eve) as of_eve,
        working(elsewhere, waiting),
    ):
        job = await submit(ada, type="gate")
        assert (await of_ada.until("job.logged"))[-1] == {
            "event": "job.logged",
            "job_id": job["id"],
        }
        assert await lines_of(ada, job) == ["before"]
        assert (await data_of(ada, job["id"]))["status"] == "running"
        gate.open()
        rest = await of_ada.until("job.succeeded")
        if "job.logged" not in {each["event"] for each in rest}:
            await of_ada.until("job.logged")
        assert await lines_of(ada, job) == ["before", "after"]

        own = await submit(eve, type="nobody runs this")
        assert (await of_eve.next())["job"]["id"] == own["id"]

    assert error_of(await eve.client.get(f"/v1/jobs/{job['id']}/logs"))[:2] == (404, "NOT_FOUND")


async def test_lines_of_a_killed_worker_stay_and_those_of_the_next_attempt_follow(
    api: Api, elsewhere: Store
) -> None:
    user = await api.a_user()

    @handler("mortal")
    async def mortal(job: Payload, ctx: JobContext) -> None:
        ctx.log(f"begun {ctx.attempt}")
        if ctx.attempt == 1:
            await asyncio.sleep(60)

    brief = msgspec.structs.replace(SETTINGS, lease_ttl=timedelta(seconds=1))
    async with running_worker(elsewhere, [mortal], brief) as first:
        job = await submit(user, type="mortal")

        async def is_written() -> bool:
            return await lines_of(user, job) == ["begun 1"]

        await eventually(is_written)
        await first.kill()
        async with running_worker(elsewhere, [mortal], brief):
            await becomes(user, job, "succeeded")

    assert await lines_of(user, job) == ["begun 1", "begun 2"]
    assert [each["status"] for each in await attempts_of(user, job["id"])] == [
        "lost",
        "succeeded",
    ]


async def test_what_a_handler_logs_while_its_worker_stops_is_kept(
    api: Api, elsewhere: Store
) -> None:
    user, begun = await api.a_user(), asyncio.Event()

    @handler("stopped")
    async def stopped(job: Payload, ctx: JobContext) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ctx.progress(0.5, "half of it")
            ctx.log("stopped in the middle")

    brief = msgspec.structs.replace(SETTINGS, shutdown_grace=timedelta(0))
    async with running_worker(elsewhere, [stopped], brief):
        job = await submit(user, type="stopped")
        await asyncio.wait_for(begun.wait(), 60)

    assert await lines_of(user, job) == ["stopped in the middle"]
    (attempt,) = await attempts_of(user, job["id"])
    assert (attempt["status"], attempt["progress_note"]) == ("released", "half of it")


async def test_what_is_logged_under_a_lost_lease_is_not_kept(api: Api, elsewhere: Store) -> None:
    user, begun, lost = await api.a_user(), asyncio.Event(), asyncio.Event()

    @handler("robbed")
    async def robbed(job: Payload, ctx: JobContext) -> None:
        begun.set()
        try:
            await asyncio.sleep(60 if ctx.attempt == 1 else 0)
        finally:
            ctx.log(f"ended {ctx.attempt}")
            if ctx.attempt == 1:
                ctx.progress(1, "and too late")
                lost.set()

    async with working(elsewhere, robbed):
        job = await submit(user, type="robbed")
        await asyncio.wait_for(begun.wait(), 60)
        await elsewhere.execute("update worker set expires_at = now() - interval '1 second'")
        await asyncio.wait_for(lost.wait(), 60)
        await becomes(user, job, "succeeded")

    assert await lines_of(user, job) == ["ended 2"]
    first, _second = await attempts_of(user, job["id"])
    assert (first["status"], first["progress_note"]) == ("lost", None)


async def test_a_deleted_jobs_lines_are_gone(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()

    @handler("forgotten")
    async def forgotten(job: Payload, ctx: JobContext) -> None:
        ctx.log("remember me")

    async with working(elsewhere, forgotten):
        job = await submit(user, type="forgotten")
        await becomes(user, job, "succeeded")
    assert await lines_of(user, job) == ["remember me"]

    assert (await user.client.delete(f"/v1/jobs/{job['id']}")).status_code == 204

    assert (await user.client.get(f"/v1/jobs/{job['id']}/logs")).status_code == 404
    async with elsewhere.database.hot() as connection:
        kept = "select count(*) from attempt_log where line = 'remember me'"
        assert await connection.fetchval(kept) == 0


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "attempt=-1", "attempt=2147483648", "cursor=nonsense", "since=1"],
)
async def test_a_query_that_cannot_be_is_refused(api: Api, query: str) -> None:
    user = await api.a_user()
    job = await submit(user, type="nobody runs this")
    answer = await user.client.get(f"/v1/jobs/{job['id']}/logs?{query}")
    status, code, details = error_of(answer)
    assert (status, code) == (400, "VALIDATION_ERROR")
    assert [each["field"] for each in details] == [query.partition("=")[0]]


async def test_what_a_handler_stores_on_its_context_spoils_nothing_for_its_neighbours(
    api: Api, elsewhere: Store
) -> None:
    user, gate = await api.a_user(), Gate()

    @handler("stores")
    async def stores(job: Payload, ctx: JobContext) -> None:
        try:
            setattr(ctx, job["name"], {"a": 1})
        finally:
            await gate.passed()

    @handler("logs")
    async def logs(job: Payload, ctx: JobContext) -> None:
        ctx.log("seen while it runs")
        await gate.passed()

    async with working(elsewhere, stores, logs):
        bad = [
            await submit(user, type="stores", payload={"name": name}, max_attempts=1)
            for name in ("lines", "report", "deadline", "job")
        ]
        for each in bad:
            await becomes(user, each, "running")
        good = await submit(user, type="logs")

        async def is_seen() -> bool:
            return await lines_of(user, good) == ["seen while it runs"]

        await eventually(is_seen)
        gate.open()
        ended = [await becomes(user, each, "failed") for each in bad]

    assert {each["last_error"].partition(":")[0] for each in ended} == {"AttributeError"}
