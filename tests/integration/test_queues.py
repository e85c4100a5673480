"""What users see of their queues, and what they may set."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from tests.support.api import Api, SignedUp, running_api
from tests.support.conditions import eventually
from tests.support.limits import (
    NOTHING,
    UNLIMITED,
    Meter,
    found,
    job_of,
    path_of,
    pause,
    queue_of,
    resume,
    set_limits,
    submit,
    submit_all,
)
from tests.support.store import open_store
from tests.support.workers import running_worker

A_DAY_MS = 86_400_000
TOO_LARGE = 1_000_001


async def test_a_queue_is_made_by_its_settings_and_shows_them(api: Api) -> None:
    user = await api.a_user()
    settings = {
        "max_running": 5,
        "rate_limit": {"limit": 100, "per_ms": 60_000, "burst": 10},
        "max_running_per_key": 2,
        "rate_limit_per_key": {"limit": 50, "per_ms": 1000, "burst": 5},
    }
    shown = await set_limits(user, "new", **settings)

    assert shown == {
        "name": "new",
        "paused": False,
        **settings,
        "counts": NOTHING,
        "oldest_queued_at": None,
        "drain_seconds": 0.0,
    }
    assert await queue_of(user, "new") == shown


async def test_a_queue_is_made_by_its_first_job(api: Api) -> None:
    user = await api.a_user()
    assert (await user.client.get(path_of("q"))).status_code == 404
    await submit(user, type="mock", queue="q")

    shown = await queue_of(user, "q")
    assert {name: shown[name] for name in UNLIMITED} == UNLIMITED
    assert shown["counts"] == {**NOTHING, "queued": 1}
    assert shown["paused"] is False


async def test_a_rate_without_a_burst_lets_through_what_comes_in_a_tenth_of_a_second(
    api: Api,
) -> None:
    user = await api.a_user()
    fast = await set_limits(user, "fast", rate_limit={"limit": 200})
    slow = await set_limits(user, "slow", rate_limit={"limit": 1, "per_ms": 60_000})

    assert fast["rate_limit"] == {"limit": 200, "per_ms": 1000, "burst": 20}
    assert slow["rate_limit"] == {"limit": 1, "per_ms": 60_000, "burst": 1}


async def test_what_new_settings_leave_out_is_not_limited_but_a_pause_stays(api: Api) -> None:
    user = await api.a_user()
    await set_limits(user, "q", paused=True, max_running=1, max_running_per_key=3)
    shown = await set_limits(user, "q")
    assert {name: shown[name] for name in UNLIMITED} == UNLIMITED
    assert shown["paused"] is True

    assert (await set_limits(user, "q", paused=False))["paused"] is False


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"max_running": 0}, "max_running"),
        ({"max_running": TOO_LARGE}, "max_running"),
        ({"max_running": "5"}, "max_running"),
        ({"max_running": 1.5}, "max_running"),
        ({"max_running_per_key": 0}, "max_running_per_key"),
        ({"max_running_per_key": None}, "max_running_per_key"),
        ({"max_running_per_key": TOO_LARGE}, "max_running_per_key"),
        ({"paused": "yes"}, "paused"),
        ({"rate_limit": 5}, "rate_limit"),
        ({"rate_limit": {}}, "rate_limit"),
        ({"rate_limit": {"limit": 0}}, "rate_limit.limit"),
        ({"rate_limit": {"limit": TOO_LARGE}}, "rate_limit.limit"),
        ({"rate_limit": {"limit": 1, "per_ms": 0}}, "rate_limit.per_ms"),
        ({"rate_limit": {"limit": 1, "per_ms": A_DAY_MS + 1}}, "rate_limit.per_ms"),
        ({"rate_limit": {"limit": 1, "burst": 0}}, "rate_limit.burst"),
        ({"rate_limit": {"limit": 1, "burst": TOO_LARGE}}, "rate_limit.burst"),
        ({"rate_limit": {"limit": 1, "per_ms": A_DAY_MS, "burst": 2}}, "rate_limit.burst"),
        ({"rate_limit": {"limit": 1, "per": 5}}, "rate_limit"),
        ({"rate_limit_per_key": {"limit": 0}}, "rate_limit_per_key.limit"),
        (
            {"rate_limit_per_key": {"limit": 1, "per_ms": A_DAY_MS, "burst": 2}},
            "rate_limit_per_key.burst",
        ),
        ({"max_runing": 1}, ""),
        ({"counts": {}}, ""),
    ],
)
async def test_settings_that_cannot_be_are_refused_by_name(
    api: Api, settings: dict[str, Any], field: str
) -> None:
    user = await api.a_user()
    answer = await user.client.put(path_of("q"), json=settings)

    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert error["details"][0]["field"].startswith(field)
    assert (await user.client.get(path_of("q"))).status_code == 404, "it was made all the same"


async def test_an_unknown_queue_is_not_found(api: Api) -> None:
    user = await api.a_user()
    for method, path in (
        ("GET", "/v1/queues/nobody"),
        ("POST", "/v1/queues/nobody/pause"),
        ("POST", "/v1/queues/nobody/resume"),
    ):
        answer = await user.client.request(method, path)
        assert answer.status_code == 404, answer.text
        assert answer.json()["error"]["code"] == "NOT_FOUND"
    assert (await user.client.get("/v1/queues")).json() == {"data": [], "next_cursor": None}


async def test_another_users_queue_of_the_same_name_is_neither_seen_nor_touched(api: Api) -> None:
    ada, bob = await api.a_user(), await api.a_user()
    await set_limits(ada, "q", max_running=5, paused=True)
    await submit(ada, type="mock", queue="q", concurrency_key="k")
    before = await queue_of(ada, "q")
    assert (await bob.client.get(path_of("q"))).status_code == 404
    assert (await bob.client.post(f"{path_of('q')}/resume")).status_code == 404
    assert (await bob.client.get("/v1/queues")).json()["data"] == []

    shown = await set_limits(bob, "q", max_running=7)
    assert (shown["paused"], shown["counts"]) == (False, NOTHING)
    await resume(bob, "q")
    assert await queue_of(ada, "q") == before


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "ü",
        "\N{ROCKET}",
        "a/b",
        "/",
        "%",
        "%2F",
        "a?b",
        "a#b&c=d+e;f",
        "pause",
        "%2e",
        "x" * 100,
    ],
)
async def test_a_queue_may_have_any_name_that_a_job_may_give_it(api: Api, name: str) -> None:
    user = await api.a_user()
    await submit(user, type="mock", queue=name)

    assert (await set_limits(user, name, max_running=2))["name"] == name
    assert (await pause(user, name))["paused"] is True
    assert (await resume(user, name))["counts"] == {**NOTHING, "queued": 1}
    assert (await queue_of(user, name))["max_running"] == 2
    listed = (await user.client.get("/v1/queues")).json()["data"]
    assert [each["name"] for each in listed] == [name]


@pytest.mark.parametrize("name", ["%00", "a%09b", "%7F", "x" * 101, "%FF", "%C3%28", "%ED%A0%80"])
async def test_a_name_that_no_queue_can_have_is_refused(api: Api, name: str) -> None:
    user = await api.a_user()
    for method, path in (("GET", ""), ("PUT", ""), ("POST", "/pause"), ("POST", "/resume")):
        body: dict[str, Any] = {"json": {}} if method == "PUT" else {}
        answer = await user.client.request(method, f"/v1/queues/{name}{path}", **body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["details"][0]["field"] == "name"


async def test_queues_are_listed_by_name_a_page_at_a_time(api: Api) -> None:
    user = await api.a_user()
    names = sorted(["zebra", "Zebra", "a b", "ä", "a/b", "10", "9"])
    for name in names:
        await set_limits(user, name)
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = (await user.client.get("/v1/queues", params=query)).json()
        assert len(page["data"]) <= 3
        seen += [each["name"] for each in page["data"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert sorted(seen) == names
    assert len(seen) == len(names)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cursor=%00", "cursor"),
        ("cursor=!!!", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=YQ==", "cursor"),  # not as it was given
        ("cursor=_w", "cursor"),  # not UTF-8
        ("cursor=AA", "cursor"),  # NUL
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("page=2", ""),
    ],
)
async def test_what_no_list_gave_is_no_cursor(api: Api, query: str, field: str) -> None:
    user = await api.a_user()
    answer = await user.client.get(f"/v1/queues?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["details"][0]["field"].startswith(field)


async def test_jobs_at_a_gate_are_queued_wherever_one_looks(api: Api) -> None:
    user = await api.a_user()
    await set_limits(user, "q", max_running=1)
    first = await submit(user, type="mock", queue="q", concurrency_key="c", rate_key="r")
    await submit(user, type="mock", queue="q", delay_ms=3_600_000, concurrency_key="c")

    job = await job_of(user, first)
    assert (job["status"], job["concurrency_key"], job["rate_key"]) == ("queued", "c", "r")
    listed = (await user.client.get("/v1/jobs", params={"status": "queued"})).json()["data"]
    assert [each["id"] for each in listed] == [first]
    assert listed[0]["concurrency_key"] == "c"
    queue = await queue_of(user, "q")
    assert queue["counts"] == {**NOTHING, "queued": 1, "scheduled": 1}
    assert queue["oldest_queued_at"] == job["run_at"]
    stats = (await user.client.get("/v1/stats")).json()["data"]
    assert stats["counts"]["by_status"] == {**NOTHING, "queued": 1, "scheduled": 1}
    assert stats["oldest_queued_at"] == job["run_at"]


async def test_a_job_at_a_gate_is_canceled_retried_and_deleted_as_any_other(api: Api) -> None:
    user = await api.a_user()
    await set_limits(user, "q", max_running=1)
    job_id = await submit(user, type="mock", queue="q")
    path = f"/v1/jobs/{job_id}"

    assert (await user.client.delete(path)).status_code == 409
    assert (await user.client.post(f"{path}/retry")).status_code == 409
    canceled = await user.client.post(f"{path}/cancel")
    assert (canceled.status_code, found(canceled)["status"]) == (200, "canceled")
    assert found(await user.client.post(f"{path}/retry"))["status"] == "queued"
    assert (await queue_of(user, "q"))["counts"] == {**NOTHING, "queued": 1}
    assert found(await user.client.post(f"{path}/cancel"))["status"] == "canceled"
    assert (await user.client.delete(path)).status_code == 204
    assert (await queue_of(user, "q"))["counts"] == NOTHING


async def test_a_retried_job_waits_at_the_gate_again(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0.01)
    await set_limits(user, "q", max_running=1)
    jobs = await submit_all(user, [{"type": meter.type, "queue": "q"}] * 5)
    for job_id in jobs:
        await user.client.post(f"/v1/jobs/{job_id}/cancel")
        await user.client.post(f"/v1/jobs/{job_id}/retry")
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 5)

    assert meter.most[""] == 1


async def test_a_pause_lets_running_jobs_end_and_holds_the_others_until_resumed(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    meter.go_on.clear()
    async with running_worker(api.store, [meter.handler]):
        await submit(user, type=meter.type, queue="q")
        await eventually(lambda: len(meter.started) == 1)
        assert (await pause(user, "q"))["paused"] is True
        assert (await pause(user, "q"))["paused"] is True
        await submit_all(user, [{"type": meter.type, "queue": "q"}] * 3)
        await submit(user, type=meter.type, queue="q", concurrency_key="k")
        await submit(user, type=meter.type, queue="other")
        await eventually(lambda: len(meter.started) == 2)
        meter.go_on.set()
        await eventually(lambda: meter.ended == 2)
        await eventually(partial(counts, user, "q", queued=4, succeeded=1))
        queue = await queue_of(user, "q")
        assert queue["drain_seconds"] is None
        assert len(meter.started) == 2

        assert (await resume(user, "q"))["paused"] is False
        assert (await resume(user, "q"))["paused"] is False
        await eventually(lambda: meter.ended == 6)


async def test_a_pause_survives_a_restart_of_everything(database_url: str) -> None:
    meter = Meter()
    async with running_api(database_url) as api:
        user = await api.a_user()
        await set_limits(user, "q", max_running=1)
        await submit_all(user, [{"type": meter.type, "queue": "q"}] * 2)
        await pause(user, "q")
    async with running_api(database_url) as api, open_store(database_url) as store:
        user.client = api.client(user.session["access_token"])
        assert (await queue_of(user, "q"))["paused"] is True
        async with running_worker(store, [meter.handler]):
            await submit(user, type=meter.type, queue="q")
            await submit(user, type=meter.type, queue="other")
            await eventually(lambda: meter.ended == 1)
            assert (await queue_of(user, "q"))["counts"]["queued"] == 3
            await resume(user, "q")
            await eventually(lambda: meter.ended == 4)


async def test_a_queue_tells_how_long_it_takes_to_drain(api: Api) -> None:
    user, meter = await api.a_user(), Meter(0.2)
    await submit_all(user, [{"type": meter.type, "queue": "q"}] * 10)
    assert (await queue_of(user, "q"))["drain_seconds"] is None  # none of them has ended
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 10)

        async def is_drained() -> bool:
            return bool((await queue_of(user, "q"))["drain_seconds"] == 0)

        await eventually(is_drained)
        await api.store.upkeep.fold_counters(1000)
        await set_limits(user, "q", max_running=1)
        await submit_all(user, [{"type": meter.type, "queue": "q"}] * 10)
        assert 1.5 < (await queue_of(user, "q"))["drain_seconds"] < 20
        await eventually(lambda: meter.ended == 20)
    await submit(user, type=meter.type, queue="q")
    assert (await queue_of(user, "q"))["drain_seconds"] is None  # nobody is there to run it


async def test_everybody_submits_to_a_new_queue_while_it_is_limited(api: Api) -> None:
    """Whoever comes first: each job stands behind the gate in the end."""
    user, meter = await api.a_user(), Meter(0.002)
    for round_ in range(5):
        queue = f"new-{round_}"
        before = meter.ended
        await asyncio.gather(
            *(submit(user, type=meter.type, queue=queue) for _ in range(5)),
            set_limits(user, queue, max_running=1, paused=True),
            *(submit(user, type=meter.type, queue=queue) for _ in range(5)),
        )
        meter.most.clear()
        async with running_worker(api.store, [meter.handler]):
            await resume(user, queue)
            await eventually(partial(_has_ended, meter, before + 10))
        assert meter.most[""] == 1


def _has_ended(meter: Meter, jobs: int) -> bool:
    return meter.ended == jobs


async def test_an_account_that_is_gone_cannot_set_limits(api: Api) -> None:
    user = await api.a_user()
    await api.store.execute("delete from account where id = $1", user.session["user"]["id"])
    answer = await user.client.put(path_of("q"), json={"max_running": 1})
    assert answer.status_code == 401, answer.text


async def counts(user: SignedUp, name: str, **by_status: int) -> bool:
    """Whether the queue has so many jobs in these statuses, and none in others."""
    return bool((await queue_of(user, name))["counts"] == NOTHING | by_status)
