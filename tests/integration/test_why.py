"""`GET /v1/jobs/{id}/why`: what holds a job up, asked over HTTP about real queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from tests.support.api import Api, SignedUp, running_api
from tests.support.conditions import eventually
from tests.support.routes import submit
from tests.support.workers import running_worker

Payload = dict[str, Any]


@pytest.fixture(scope="module")
async def api(module_database_url: str) -> AsyncIterator[Api]:
    async with running_api(module_database_url) as running:
        yield running


async def why(user: SignedUp, job: dict[str, Any]) -> dict[str, Any]:
    answer = await user.client.get(f"/v1/jobs/{job['id']}/why")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    assert set(found) == {"gate", "detail", "estimated_start_at"}
    return found


async def put_queue(user: SignedUp, name: str, **settings: Any) -> None:
    answer = await user.client.put(f"/v1/queues/{name}", json=settings)
    assert answer.status_code == 200, answer.text


async def test_without_a_worker_it_says_so_and_no_more(api: Api) -> None:
    user = await api.a_user()
    found = await why(user, await submit(user, type="nobody's"))
    assert (found["gate"], found["estimated_start_at"]) == ("no_worker", None)
    assert "'nobody's'" in found["detail"] or '"nobody\'s"' in found["detail"]


async def test_a_job_for_later_is_due_then(api: Api) -> None:
    user = await api.a_user()
    await api.store.a_worker()
    later = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    job = await submit(user, run_at=later.isoformat())
    found = await why(user, job)
    assert found["gate"] == "due"
    assert datetime.fromisoformat(found["estimated_start_at"]) == later


async def test_a_paused_queue_names_itself(api: Api) -> None:
    user = await api.a_user()
    await api.store.a_worker()
    await put_queue(user, "held", paused=True)
    found = await why(user, await submit(user, queue="held"))
    assert (found["gate"], found["estimated_start_at"]) == ("paused", None)
    assert "'held'" in found["detail"]


async def test_each_limit_is_named_while_it_holds_a_job_up(api: Api) -> None:
    user, may_end = await api.a_user(), asyncio.Event()

    @handler("patient")
    async def patient(job: Payload, ctx: JobContext) -> None:
        await may_end.wait()

    await put_queue(user, "narrow", max_running=1)
    await put_queue(user, "slow", rate_limit={"limit": 1, "per_ms": 60_000})
    await put_queue(user, "keys", rate_limit_per_key={"limit": 1, "per_ms": 60_000})
    cases = [
        ({"queue": "narrow"}, "max_running"),
        ({"queue": "slow"}, "rate"),
        ({"queue": "keys", "rate_key": "acme"}, "rate"),
        ({"concurrency_key": "acme"}, "concurrency_key"),
    ]
    first = [await submit(user, type="patient", **fields) for fields, _ in cases]
    async with running_worker(api.store, [patient]):
        await eventually(lambda: runs(user, first))
        for fields, gate in cases:
            job = await submit(user, type="patient", **fields)
            found = await why(user, job)
            assert found["gate"] == gate, found
            if gate == "rate":
                assert found["estimated_start_at"] > job["created_at"]
            else:  # none of them has ended yet
                assert found["estimated_start_at"] is None
        assert {(await why(user, job))["gate"] for job in first} == {"none"}
        may_end.set()
        await eventually(lambda: has_ended(user, first))
        assert {(await why(user, job))["gate"] for job in first} == {"none"}


async def test_it_tells_when_by_how_long_such_jobs_ran(api: Api) -> None:
    user, may_end = await api.a_user(), asyncio.Event()

    @handler("measured")
    async def measured(job: Payload, ctx: JobContext) -> None:
        if job.get("holds"):
            await may_end.wait()
        await asyncio.sleep(0.3)

    async with running_worker(api.store, [measured]):
        first = await submit(user, type="measured")
        await eventually(lambda: has_ended(user, [first]))
        await api.store.upkeep.fold_counters(1000)
        holder = await submit(
            user, type="measured", queue="default", concurrency_key="acme", payload={"holds": True}
        )
        await eventually(lambda: runs(user, [holder]))
        waiting = [
            await submit(user, type="measured", concurrency_key="acme", payload={"n": n})
            for n in range(3)
        ]
        starts = [
            datetime.fromisoformat((await why(user, job))["estimated_start_at"]) for job in waiting
        ]
        for one, following in pairwise(starts):
            # each a job's time after the one before it; asked a moment later, of a busy machine
            assert timedelta(seconds=0.25) < following - one < timedelta(seconds=3)
        drain = await user.client.get("/v1/queues/default")
        assert 3 * 0.3 <= drain.json()["data"]["drain_seconds"] < 30
        may_end.set()
        await eventually(lambda: has_ended(user, waiting))


async def test_in_a_line_it_counts_who_goes_before(api: Api) -> None:
    user = await api.a_user()
    await api.store.a_worker()
    jobs = [await submit(user) for _ in range(3)]
    found = [await why(user, job) for job in jobs]
    assert {each["gate"] for each in found} == {"in_line"}
    assert [each["detail"][:6] for each in found] == ["0 jobs", "1 job ", "2 jobs"]
    assert found[0]["estimated_start_at"] is not None


async def statuses(user: SignedUp, jobs: list[dict[str, Any]]) -> set[str]:
    answers = [await user.client.get(f"/v1/jobs/{job['id']}") for job in jobs]
    return {answer.json()["data"]["status"] for answer in answers}


async def runs(user: SignedUp, jobs: list[dict[str, Any]]) -> bool:
    return await statuses(user, jobs) == {"running"}


async def has_ended(user: SignedUp, jobs: list[dict[str, Any]]) -> bool:
    return await statuses(user, jobs) == {"succeeded"}
