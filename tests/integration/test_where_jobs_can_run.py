"""A worker runs what it has a handler for and can read; everything else waits for one that can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from internal.adapters.postgres.standings import PostgresStandings
from internal.domain.accounts import Actor
from internal.domain.handlers import Handlers
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import LoggedLine
from internal.domain.queues import QueueSettings, RateLimit
from internal.domain.submission import NewJob, Submission, accept
from internal.domain.why import Gate, explain
from tests.support.conditions import eventually
from tests.support.invariants import violations
from tests.support.store import DEFAULTS, ROUTES, Store, an_end, open_store
from tests.support.workers import becomes, running_worker
from windlass import Handler, JobContext, handler

Payload = dict[str, Any]


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        listener = asyncio.create_task(store.wakeups.run())
        yield store
        listener.cancel()


@handler("present")
async def present(job: Payload, ctx: JobContext) -> None: ...


@handler("missing")
async def missing(job: Payload, ctx: JobContext) -> None: ...


class Before(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class After(msgspec.Struct, forbid_unknown_fields=True):
    first: str
    last: str


def of_release(payload: type[Any]) -> Handler:
    async def greet(job: Any, ctx: JobContext) -> str:
        return "hello"

    greet.__annotations__["job"] = payload
    return handler("greet")(greet)


def a_job_for(*handlers: Handler, **fields: Any) -> NewJob:
    """As an API process with these handlers takes it."""
    index = fields.pop("index", None)
    request = msgspec.json.decode(msgspec.json.encode(fields), type=Submission)
    return accept(request, Handlers(handlers), DEFAULTS, index=index)


async def submit(store: Store, actor: Actor, *handlers: Handler, **fields: Any) -> UUID:
    (submitted,) = await store.submissions.submit(actor, [a_job_for(*handlers, **fields)])
    return submitted.id


async def gate(store: Store, actor: Actor, job_id: UUID) -> Gate:
    standing = await PostgresStandings(store.database).standing(actor, job_id)
    assert standing is not None
    return explain(standing).gate


async def count(store: Store, what: str) -> int:
    async with store.database.hot() as connection:
        return int(await connection.fetchval(f"select count(*) from {what}"))  # noqa: S608 - ours


async def test_jobs_of_a_type_that_no_worker_has_wait_and_leave_no_trace(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    actor = await store.a_user()
    many = [a_job_for(present, missing, type="missing", index=index) for index in range(500)]
    async with running_worker(store, [present]) as running:
        submitted = await store.submissions.submit(actor, many)
        known = await submit(store, actor, present, missing, type="present")
        await becomes(store, actor, known, Status.SUCCEEDED)

        async def all_set_aside() -> bool:
            return (
                await count(store, "ready join flow on flow_id = id and route = 'pull:missing'")
                == 500
            )

        await eventually(all_set_aside)
        assert await gate(store, actor, submitted[0].id) is Gate.NO_WORKER
        assert await count(store, "attempt") == 1
        await running.stop()

    job = await store.job(actor, submitted[0].id)
    assert (job.status, job.attempts, job.started_at) == (Status.QUEUED, 0, None)
    assert len([each for each in caplog.records if "no handler here" in each.message]) == 1
    assert await violations(store) == {}


async def test_a_worker_that_comes_later_with_the_handler_runs_what_waited_for_it(
    store: Store,
) -> None:
    actor = await store.a_user()
    job_id = await submit(store, actor, present, missing, type="missing")
    async with running_worker(store, [present]):
        await eventually(lambda: _is_set_aside(store))
        async with running_worker(store, [present, missing]):
            await becomes(store, actor, job_id, Status.SUCCEEDED)

    attempts = await store.attempts(actor, job_id)
    assert [(each.number, each.status) for each in attempts] == [(1, Outcome.SUCCEEDED)]


async def test_it_does_not_matter_which_of_two_different_workers_takes_a_job_first(
    store: Store,
) -> None:
    actor = await store.a_user()
    async with running_worker(store, [present]), running_worker(store, [missing]):
        jobs = [
            await submit(store, actor, present, missing, type=type_)
            for type_ in ("present", "missing") * 20
        ]
        for job_id in jobs:
            await becomes(store, actor, job_id, Status.SUCCEEDED)

    assert await count(store, "attempt") == 40
    assert await violations(store) == {}


async def test_jobs_that_cannot_run_take_no_tokens_of_a_rate_from_those_that_can(
    store: Store,
) -> None:
    actor = await store.a_user()
    slow = QueueSettings(rate_limit=RateLimit(1, per_ms=3_600_000, burst=10))
    await store.queues.set(actor, "q", slow)
    both = (present, missing)
    for _ in range(30):
        await submit(store, actor, *both, type="missing", queue="q", priority="high")
    can_run = [await submit(store, actor, *both, type="present", queue="q") for _ in range(10)]
    async with running_worker(store, [present]):
        for job_id in can_run:
            await becomes(store, actor, job_id, Status.SUCCEEDED)

    assert await count(store, "attempt") == 10


async def test_nor_places_of_a_limit(store: Store) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "q", QueueSettings(max_running=1))
    both = (present, missing)
    waiting = await submit(
        store, actor, *both, type="missing", queue="q", concurrency_key="k", priority="high"
    )
    runs = await submit(store, actor, *both, type="present", queue="q", concurrency_key="k")
    async with running_worker(store, [present]):
        await becomes(store, actor, runs, Status.SUCCEEDED)
        assert await gate(store, actor, waiting) is Gate.NO_WORKER

    assert await violations(store) == {}


@pytest.mark.parametrize(("first", "second"), [(Before, After), (After, Before)])
async def test_a_payload_that_one_release_cannot_read_is_run_by_the_other(
    store: Store, first: type[Any], second: type[Any]
) -> None:
    actor = await store.a_user()
    payload = {"name": "Ada"} if second is Before else {"first": "Ada", "last": "Lovelace"}
    async with running_worker(store, [of_release(first)]):
        job_id = await submit(store, actor, of_release(second), type="greet", payload=payload)
        job = await becomes(store, actor, job_id, Status.SCHEDULED)
        assert "does not fit" in (job.last_error or "")
    async with running_worker(store, [of_release(second)]):
        job = await becomes(store, actor, job_id, Status.SUCCEEDED)

    assert (job.attempts, job.result) == (0, '"hello"')
    attempts = await store.attempts(actor, job_id)
    assert attempts[0].status is Outcome.RELEASED
    assert "does not fit" in (attempts[0].error or "")
    assert attempts[-1].status is Outcome.SUCCEEDED


async def test_a_payload_that_no_release_can_read_fails_after_some_minutes(store: Store) -> None:
    actor = await store.a_user()
    job_id = await submit(store, actor, type="greet", payload={"unknown": True})
    async with running_worker(store, [of_release(Before)]):
        await becomes(store, actor, job_id, Status.SCHEDULED)
        await store.execute("update attempt set started_at = started_at - interval '6 minutes'")
        job = await becomes(store, actor, job_id, Status.FAILED)

    assert (job.attempts, "does not fit" in (job.last_error or "")) == (1, True)
    attempts = await store.attempts(actor, job_id)
    assert [each.status for each in attempts] == [Outcome.RELEASED, Outcome.FAILED]
    assert await violations(store) == {}


async def test_a_job_that_is_released_time_and_again_keeps_the_newest_of_its_attempts(
    store: Store,
) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    job_id = (await store.submit(actor)).id
    for _ in range(251):
        (claimed,) = await store.work.claim(worker, ROUTES, 1)
        await store.work.log({claimed.lease: [LoggedLine(1, time.monotonic(), "started")]})
        await store.work.finish([an_end(claimed, Outcome.RELEASED)])

    attempts = await store.attempts(actor, job_id)
    assert attempts[-1].number == 251
    assert 100 <= len(attempts) <= 151
    assert await count(store, "(select distinct attempt from attempt_log) a") == len(attempts)
    (again,) = await store.work.claim(worker, ROUTES, 1)
    assert again.attempts == 0
    assert await violations(store) == {}


async def _is_set_aside(store: Store) -> bool:
    return await count(store, "ready join flow on flow_id = id and route = 'pull:missing'") == 1
