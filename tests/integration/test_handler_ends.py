"""How a handler ends its attempt: later, again, or with a result."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from internal.services.worker.result_parts import MAX_RESULT_BYTES
from tests.support.api import Api, SignedUp
from tests.support.conditions import eventually
from tests.support.routes import attempts_of, becomes, submit
from tests.support.store import Store
from tests.support.workers import running_worker
from windlass import JobContext, Retry, Snooze, handler

Payload = dict[str, Any]
Data = dict[str, Any]

HOUR = timedelta(hours=1)


async def test_a_handler_says_when_to_try_again(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()

    @handler("busy")
    async def busy(job: Payload, ctx: JobContext) -> Retry | None:
        return Retry("the line is busy", after=job["after"]) if ctx.attempt == 1 else None

    async with running_worker(elsewhere, [busy]):
        long = await submit(user, type="busy", payload={"after": "1h"})
        short = await submit(user, type="busy", payload={"after": "1ms"})
        waits = await becomes(user, long, "scheduled")
        again = await becomes(user, short, "succeeded")

    assert (waits["attempts"], waits["last_error"]) == (1, "the line is busy")
    (attempt,) = await attempts_of(user, long["id"])
    assert attempt["status"] == "failed"
    assert between(attempt["finished_at"], waits["run_at"]) == HOUR
    assert again["attempts"] == 1


async def test_a_handler_snoozes_without_using_up_an_attempt(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()

    @handler("early")
    def early(job: Payload, ctx: JobContext) -> None:
        if ctx.attempt < 3:
            raise Snooze(job["for"])

    async with running_worker(elsewhere, [early]):
        long = await submit(user, type="early", payload={"for": "1h"}, max_attempts=1)
        short = await submit(user, type="early", payload={"for": "0s"}, max_attempts=1)
        waits = await becomes(user, long, "scheduled")
        done = await becomes(user, short, "succeeded")

    (attempt,) = await attempts_of(user, long["id"])
    assert (waits["attempts"], attempt["status"]) == (0, "released")
    assert between(attempt["finished_at"], waits["run_at"]) == HOUR
    ends = [each["status"] for each in await attempts_of(user, short["id"])]
    assert (done["attempts"], ends) == (0, ["released", "released", "succeeded"])


async def test_a_snooze_leaves_the_last_error_as_it_was(api: Api, elsewhere: Store) -> None:
    user = await api.a_user()

    @handler("failed before")
    async def failed_before(job: Payload, ctx: JobContext) -> None:
        if ctx.attempt == job.get("fails"):
            raise Retry("the line is busy", after="1ms")
        raise Snooze("0s" if ctx.attempt < 3 else "1h")

    async with running_worker(elsewhere, [failed_before]):
        fresh = await submit(user, type="failed before")
        tried = await submit(user, type="failed before", payload={"fails": 1})
        for job, error in ((fresh, None), (tried, "the line is busy")):
            waits = await sleeps(user, job)
            assert (waits["last_error"], waits["attempts"]) == (error, int(error is not None))
            (summary,) = await listed(user, job)
            assert summary["error_preview"] == error
            attempts = await attempts_of(user, job["id"])
            assert [each["error"] for each in attempts] == [error, None, None]


async def sleeps(user: SignedUp, job: Data) -> Data:
    """The job when it has been started three times and waits."""

    async def waits() -> bool:
        attempts = await attempts_of(user, job["id"])
        return len(attempts) == 3 and attempts[-1]["status"] == "released"

    await eventually(waits)
    return await becomes(user, job, "scheduled")


async def listed(user: SignedUp, job: Data) -> list[Data]:
    found = (await user.client.get("/v1/jobs", params={"type": job["type"]})).json()["data"]
    return [each for each in found if each["id"] == job["id"]]


def between(earlier: str, later: str) -> timedelta:
    """To the millisecond."""
    exact = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    return timedelta(milliseconds=round(exact / timedelta(milliseconds=1)))


async def test_a_result_of_a_mebibyte_is_kept_and_a_larger_one_fails_for_good(
    api: Api, elsewhere: Store
) -> None:
    user = await api.a_user()

    @handler("large")
    async def large(job: Payload, ctx: JobContext) -> str:
        return "x" * (MAX_RESULT_BYTES - 2 + int(job["more"]))

    async with running_worker(elsewhere, [large]):
        fits = await submit(user, type="large", payload={"more": 0})
        too_large = await submit(user, type="large", payload={"more": 1})
        done = await becomes(user, fits, "succeeded")
        failed = await becomes(user, too_large, "failed")

    assert done["result"] == "x" * (MAX_RESULT_BYTES - 2)
    assert failed["result"] is None
    assert failed["last_error"] == (
        "the handler's result has 1,048,577 bytes; at most 1,048,576 are kept"
    )
    assert failed["attempts"] == 1, "trying again would not help"
