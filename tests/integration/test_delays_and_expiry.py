"""When a job starts at the earliest, and until when it is worth running."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.domain.outcomes import Retry
from tests.support.api import Api
from tests.support.conditions import eventually
from tests.support.limits import NOTHING, Meter, job_of, queue_of, set_limits, submit, submit_all
from tests.support.workers import running_worker

NOT_STARTED = "expired: it had not started by expires_at"
NOT_FINISHED = "expired: it had not finished by expires_at"


async def test_a_delayed_job_starts_no_earlier(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    job = {"type": meter.type, "delay_ms": 600}
    async with running_worker(api.store, [meter.handler]):
        ids = [await submit(user, **job), *await submit_all(user, [job])]
        waiting = [await job_of(user, each) for each in ids]
        assert [each["status"] for each in waiting] == ["scheduled"] * 2
        assert [_between(each, "created_at", "run_at") for each in waiting] == [0.6] * 2
        for job_id in ids:
            await eventually(partial(_is, user, job_id, "succeeded"))
    ran = [await job_of(user, each) for each in ids]
    assert all(_between(each, "created_at", "started_at") >= 0.6 for each in ran)


def _between(job: dict[str, Any], earlier: str, later: str) -> float:
    """In seconds."""
    distance = datetime.fromisoformat(job[later]) - datetime.fromisoformat(job[earlier])
    return distance.total_seconds()


async def test_a_job_shows_until_when_it_is_worth_running_and_is_canceled_then(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    await set_limits(user, "held", paused=True)
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    jobs = [
        await submit(user, type=meter.type, queue="held", expires_at=soon.isoformat(), **more)
        for more in ({}, {"concurrency_key": "k"}, {"delay_ms": 60_000})
    ]
    shown = datetime.fromisoformat((await job_of(user, jobs[0]))["expires_at"])
    assert shown == soon
    async with running_worker(api.store, [meter.handler]):
        for job_id in jobs:
            await eventually(partial(_is, user, job_id, "canceled"))
            job = await job_of(user, job_id)
            assert job["last_error"] == NOT_STARTED
            assert job["started_at"] is None

    assert meter.started == []
    assert (await queue_of(user, "held"))["counts"] == {**NOTHING, "canceled": 3}


async def test_a_claim_that_meets_a_job_past_its_time_begins_no_attempt(api: Api) -> None:
    """As it does when it comes before the expirer."""
    user, meter = await api.a_user(), Meter()
    expire = "update job set expires_at = now() where id = $1"

    @handler("expiring")
    async def expiring(job: dict[str, Any], ctx: JobContext) -> None:
        await api.store.execute(expire, ctx.job_id)
        raise Retry("too early", after="1ms")

    far = "2100-01-01T00:00:00Z"
    fresh, tried = await submit_all(
        user, [{"type": each, "expires_at": far} for each in (meter.type, "expiring")]
    )
    await api.store.execute(expire, fresh)
    async with running_worker(api.store, [meter.handler, expiring]):
        for job_id, reason, attempts in ((fresh, NOT_STARTED, 0), (tried, NOT_FINISHED, 1)):
            await eventually(partial(_is, user, job_id, "canceled"))
            job = await job_of(user, job_id)
            assert (job["last_error"], job["attempts"]) == (reason, attempts)
            assert await _ends_of(user, job_id) == ["failed"] * attempts
    assert (await job_of(user, fresh))["started_at"] is None
    assert meter.started == []


async def test_a_job_that_expires_before_its_next_attempt_runs_when_it_is_retried_by_hand(
    api: Api,
) -> None:
    user = await api.a_user()

    @handler("late")
    async def late(job: dict[str, Any], ctx: JobContext) -> int:
        if ctx.attempt == 1:
            raise Retry("not yet", after="1h")
        return ctx.attempt

    soon = datetime.now(UTC) + timedelta(seconds=1)
    job_id = await submit(user, type="late", expires_at=soon.isoformat())
    async with running_worker(api.store, [late]):
        await eventually(partial(_is, user, job_id, "scheduled"))
        assert (await job_of(user, job_id))["last_error"] == "not yet"
        await eventually(partial(_is, user, job_id, "canceled"))
        assert (await job_of(user, job_id))["last_error"] == NOT_FINISHED
        assert await _ends_of(user, job_id) == ["failed"]
        await user.client.post(f"/v1/jobs/{job_id}/retry")
        await eventually(partial(_is, user, job_id, "succeeded"))
    job = await job_of(user, job_id)
    assert (job["result"], job["last_error"]) == (2, None)
    assert await _ends_of(user, job_id) == ["failed", "succeeded"]


async def _ends_of(user: Any, job_id: str) -> list[str]:
    found = (await user.client.get(f"/v1/jobs/{job_id}/attempts")).json()["data"]
    return [each["status"] for each in reversed(found)]


async def _is(user: Any, job_id: str, status: str) -> bool:
    return bool((await job_of(user, job_id))["status"] == status)


async def test_a_job_that_ran_in_time_is_not_canceled_later(api: Api) -> None:
    user, meter = await api.a_user(), Meter()
    soon = datetime.now(UTC) + timedelta(minutes=5)
    job_id = await submit(user, type=meter.type, expires_at=soon.isoformat())
    async with running_worker(api.store, [meter.handler]):
        await eventually(lambda: meter.ended == 1)
        await eventually(partial(_is, user, job_id, "succeeded"))
        await api.store.execute("update expiry set at = now() where job_id = $1", job_id)
        await api.store.upkeep.expire(100)
    assert (await job_of(user, job_id))["status"] == "succeeded"
