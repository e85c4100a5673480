"""Whose attempts pay for the end of a process, and which jobs run by themselves after that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from internal.adapters.postgres.standings import PostgresStandings
from internal.domain.accounts import Actor
from internal.domain.jobs import Outcome, Status
from internal.domain.queues import QueueSettings, RateLimit
from internal.domain.why import Gate, Why, explain
from internal.services.worker.supervision import Supervision, Unsupervised
from tests.support.conditions import eventually
from tests.support.gates import let_through
from tests.support.invariants import violations
from tests.support.store import ROUTES, TTL, Store, an_end, open_store
from tests.support.workers import SETTINGS, RunningWorker, becomes, running_worker
from windlass import JobContext, handler

Payload = dict[str, Any]

ALONE = ("alone:default", "alone:pull:noop")
ONE_BY_ONE = replace(SETTINGS, is_alone=True, shutdown_grace=timedelta(milliseconds=100))
BRIEF = replace(SETTINGS, shutdown_grace=timedelta(milliseconds=100))


class NotAsked(Unsupervised):
    """The supervisor has not asked for the stop."""

    stop_asked = False


BY_A_STRANGER = NotAsked()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        listener = asyncio.create_task(store.wakeups.run())
        yield store
        listener.cancel()


async def lose(
    store: Store,
    *,
    is_known: bool = True,
    blamed: tuple[UUID, ...] = (),
    suspected: tuple[UUID, ...] = (),
) -> None:
    """A worker claims all it can and ends with it."""
    worker = await store.a_worker()
    await store.work.claim(worker, ROUTES, 100)
    if is_known:
        await store.end_processes([worker], blamed, suspected)
    else:
        await store.expire(worker)
    await store.upkeep.rescue_expired(100)


async def an_isolated_worker(store: Store) -> str:
    worker = "w-alone"
    await store.work.register(worker, TTL, slots=1, routes=ALONE, is_alone=True)
    return worker


async def outcomes(store: Store, actor: Actor, job_id: UUID) -> list[Outcome]:
    return [each.status for each in await store.attempts(actor, job_id)]


async def why(store: Store, actor: Actor, job_id: UUID) -> Why:
    standing = await PostgresStandings(store.database).standing(actor, job_id)
    assert standing is not None
    return explain(standing)


async def claimable(store: Store, worker: str, routes: tuple[str, ...]) -> int:
    await store.upkeep.tend_flows(100)
    return len(await store.work.claim(worker, routes, 100))


async def test_a_loss_without_blame_counts_for_no_job_however_few_attempts_it_has(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    actor = await store.a_user()
    submitted = await store.submit(actor, max_attempts=1)
    await lose(store)

    job = await store.job(actor, submitted.id)
    assert (job.status, job.attempts) == (Status.QUEUED, 0)
    assert await outcomes(store, actor, submitted.id) == [Outcome.LOST]
    assert await violations(store) == {}
    (line,) = [each for each in caplog.records if "lost with its worker" in each.message]
    assert line.__dict__["job_id"] == str(submitted.id)
    assert line.__dict__["user_id"] == str(actor.user_id)


async def test_a_loss_counts_for_the_job_that_is_to_blame_and_not_for_its_neighbours(
    store: Store,
) -> None:
    actor = await store.a_user()
    guilty = await store.submit(actor, max_attempts=1)
    beside = [(await store.submit(actor, max_attempts=1)).id for _ in range(3)]
    await lose(store, blamed=(guilty.id,))

    assert (await store.job(actor, guilty.id)).status is Status.FAILED
    assert {(await store.job(actor, each)).attempts for each in beside} == {0}
    assert await violations(store) == {}


@pytest.mark.parametrize(("is_known", "losses"), [(True, 2), (False, 4)])
async def test_a_job_that_saw_enough_of_its_processes_end_waits_for_an_isolated_worker(
    store: Store,
    is_known: bool,  # noqa: FBT001 - a parameter of the test
    losses: int,
) -> None:
    actor = await store.a_user()
    submitted = await store.submit(actor, max_attempts=1)
    for _ in range(losses - 1):
        await lose(store, is_known=is_known)
    worker = await store.a_worker()
    beat = await store.work.beat(worker, TTL)
    assert not beat.waits_alone
    await lose(store, is_known=is_known)

    assert await outcomes(store, actor, submitted.id) == [Outcome.LOST] * losses
    assert await claimable(store, worker, ROUTES) == 0
    assert (await store.work.beat(worker, TTL)).waits_alone
    assert (await why(store, actor, submitted.id)).gate is Gate.NO_WORKER
    assert "by itself" in (await why(store, actor, submitted.id)).detail

    isolated = await an_isolated_worker(store)
    assert not (await store.work.beat(worker, TTL)).waits_alone
    assert await claimable(store, isolated, ALONE) == 1
    assert await violations(store) == {}


async def test_the_job_that_began_last_is_set_apart_at_once_and_its_neighbours_are_not(
    store: Store,
) -> None:
    actor = await store.a_user()
    beside = [(await store.submit(actor, max_attempts=1)).id for _ in range(3)]
    last = await store.submit(actor, max_attempts=1)
    await lose(store, suspected=(last.id,))

    assert await store_of_suspects(store) == dict.fromkeys(beside, 1) | {last.id: 4}
    assert await claimable(store, await store.a_worker(), ROUTES) == 3
    assert await claimable(store, await an_isolated_worker(store), ALONE) == 1
    assert await violations(store) == {}


async def test_a_job_whose_end_is_recorded_is_not_suspected(store: Store) -> None:
    actor = await store.a_user()
    first, second = [await store.submit(actor) for _ in range(2)]
    worker = await store.a_worker()
    claimed = await store.work.claim(worker, ROUTES, 100)
    await store.work.finish([an_end(each) for each in claimed if each.id == second.id])
    await store.end_processes([worker], suspected=(second.id,))
    await store.upkeep.rescue_expired(100)

    assert await store_of_suspects(store) == {first.id: 2}
    assert (await store.job(actor, second.id)).status is Status.SUCCEEDED


async def test_the_end_of_a_process_says_nothing_against_those_beside_the_job_to_blame(
    store: Store,
) -> None:
    actor = await store.a_user()
    guilty = await store.submit(actor, max_attempts=2)
    await store.submit(actor)
    await lose(store, blamed=(guilty.id,))

    assert await store_of_suspects(store) == {guilty.id: 4}
    assert await claimable(store, await store.a_worker(), ROUTES) == 1
    assert await claimable(store, await an_isolated_worker(store), ALONE) == 1


async def test_a_loss_of_an_isolated_worker_counts_until_the_job_fails(store: Store) -> None:
    actor = await store.a_user()
    submitted = await store.submit(actor, max_attempts=2)
    for _ in range(2):
        await lose(store)
    for attempts in (1, 2):
        isolated = await an_isolated_worker(store)
        assert await claimable(store, isolated, ALONE) == 1
        await store.end_processes([isolated])
        await store.upkeep.rescue_expired(100)
        assert (await store.job(actor, submitted.id)).attempts == attempts
        await store.execute("delete from worker where id = 'w-alone'")

    assert (await store.job(actor, submitted.id)).status is Status.FAILED
    assert await violations(store) == {}


async def test_a_job_that_runs_by_itself_stays_apart_when_it_is_retried(store: Store) -> None:
    actor = await store.a_user()
    submitted = await store.submit(actor, max_attempts=1)
    for _ in range(2):
        await lose(store)
    isolated = await an_isolated_worker(store)
    (claimed,) = await store.work.claim(isolated, ALONE, 10)
    await store.work.finish([an_end(claimed, Outcome.FAILED)])
    await store.sweep("suspects")
    await store.commands.retry(actor, submitted.id)

    assert await claimable(store, await store.a_worker(), ROUTES) == 0
    assert await claimable(store, isolated, ALONE) == 1


async def test_what_speaks_against_jobs_is_forgotten_when_they_have_ended(store: Store) -> None:
    actor = await store.a_user()
    await store.submit(actor)
    waiting = await store.submit(actor)
    await lose(store)
    worker = await store.a_worker()
    first, *_ = await store.work.claim(worker, ROUTES, 1)
    await store.work.finish([an_end(first)])
    await store.sweep("suspects")

    async with store.database.hot() as connection:
        left = await connection.fetch("select job_id, suspicion from suspect")
    assert [tuple(row) for row in left] == [(waiting.id, 2)]


async def test_limits_hold_for_what_runs_by_itself(store: Store) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "q", QueueSettings(max_running=1, rate_limit=RateLimit(1000)))
    for _ in range(2):
        await store.submit(actor, queue="q", concurrency_key="k")
    await store.a_worker()
    for _ in range(2):
        await let_through(store)
        await lose(store)
    # The first runs by itself now, the second goes by the usual way.
    worker, isolated = await store.a_worker(), await an_isolated_worker(store)
    await let_through(store)
    claimed = await claimable(store, worker, ROUTES) + await claimable(store, isolated, ALONE)

    assert claimed == 1
    assert await violations(store) == {}


async def test_a_stop_that_the_supervisor_asked_for_says_nothing_against_a_job(
    store: Store,
) -> None:
    actor = await store.a_user()
    submitted = await store.submit(actor, type="endless", max_attempts=1)
    await _stopped_workers(store, actor, submitted.id, Unsupervised(), times=3)

    assert await outcomes(store, actor, submitted.id) == [Outcome.RELEASED] * 3
    assert await store_of_suspects(store) == {}


async def test_a_job_that_has_its_process_end_politely_runs_by_itself_and_there_it_counts(
    store: Store,
) -> None:
    actor = await store.a_user()
    submitted = await store.submit(actor, type="endless", max_attempts=2)
    await _stopped_workers(store, actor, submitted.id, BY_A_STRANGER)
    assert await store_of_suspects(store) == {submitted.id: 4}
    assert (await store.job(actor, submitted.id)).attempts == 0

    for attempts in (1, 2):
        await _stopped_workers(store, actor, submitted.id, BY_A_STRANGER, settings=ONE_BY_ONE)
        assert (await store.job(actor, submitted.id)).attempts == attempts
    assert (await store.job(actor, submitted.id)).status is Status.FAILED
    ends = [Outcome.RELEASED, Outcome.LOST, Outcome.LOST]
    assert await outcomes(store, actor, submitted.id) == ends
    assert await violations(store) == {}


async def test_of_jobs_whose_process_ends_politely_the_one_that_began_last_is_suspected_most(
    store: Store,
) -> None:
    actor = await store.a_user()
    before = await store.submit(actor, type="endless")

    @handler("endless")
    async def endless(job: Payload, ctx: JobContext) -> None:
        await asyncio.sleep(60)

    async with running_worker(store, [endless], BRIEF, supervision=BY_A_STRANGER) as running:
        await becomes(store, actor, before.id, Status.RUNNING)
        last = await store.submit(actor, type="endless")
        await becomes(store, actor, last.id, Status.RUNNING)
        await running.stop()

    assert await store_of_suspects(store) == {before.id: 1, last.id: 4}


async def test_an_isolated_worker_runs_one_job_at_a_time_and_ends_when_there_are_no_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("internal.services.worker.worker.IDLE_S", 0.5)
    running_now: list[UUID] = []
    most: list[int] = []

    @handler("noop")
    async def noop(job: Payload, ctx: JobContext) -> None:
        running_now.append(ctx.job_id)
        most.append(len(running_now))
        await asyncio.sleep(0.01)
        running_now.remove(ctx.job_id)

    actor = await store.a_user()
    jobs = [(await store.submit(actor)).id for _ in range(5)]
    for _ in range(2):
        await lose(store)
    async with running_worker(store, [noop], ONE_BY_ONE) as running:
        for each in jobs:
            await becomes(store, actor, each, Status.SUCCEEDED)
        await running.ended()

    assert most == [1] * 5


async def test_a_poison_job_fails_by_its_own_count_while_all_beside_it_succeed(
    store: Store,
) -> None:
    """Each process that runs it ends at once; the bystanders are there each time."""
    released = asyncio.Event()
    ends: list[RunningWorker] = []
    workers: list[RunningWorker] = []

    @handler("bystander")
    async def bystander(job: Payload, ctx: JobContext) -> None:
        await released.wait()

    @handler("poison")
    async def poison(job: Payload, ctx: JobContext) -> None:
        ends.append(workers[-1])
        await asyncio.sleep(60)

    ada, eve = await store.a_user(), await store.a_user()
    beside = [
        (actor, (await store.submit(actor, type="bystander", max_attempts=most)).id)
        for actor, most in [(ada, 1), (eve, 3)] * 10
    ]
    bad = await store.submit(ada, type="poison", max_attempts=10)
    handlers = [bystander, poison]

    async with AsyncExitStack() as stack:
        settings = replace(SETTINGS, slots=30)

        async def start(*, is_alone: bool) -> RunningWorker:
            own = replace(settings, is_alone=is_alone)
            workers.append(await stack.enter_async_context(running_worker(store, handlers, own)))
            return workers[-1]

        await start(is_alone=False)
        for number in range(12):
            await eventually(lambda number=number: len(ends) > number)  # type: ignore[misc]
            await _dies(store, ends[-1])
            await start(is_alone=number >= 1)
            if number == 1:
                released.set()
        await start(is_alone=False)
        await becomes(store, ada, bad.id, Status.FAILED)
        for actor, job_id in beside:
            await becomes(store, actor, job_id, Status.SUCCEEDED)

    job = await store.job(ada, bad.id)
    assert (job.attempts, len(await outcomes(store, ada, bad.id))) == (10, 12)
    assert await violations(store) == {}


async def _dies(store: Store, running: RunningWorker) -> None:
    await running.kill()
    async with store.database.hot() as connection:
        names = [row["id"] for row in await connection.fetch("select id from worker")]
    await store.end_processes(names)


async def store_of_suspects(store: Store) -> dict[UUID, int]:
    async with store.database.hot() as connection:
        rows = await connection.fetch("select job_id, suspicion from suspect")
    return {row["job_id"]: row["suspicion"] for row in rows}


async def _stopped_workers(
    store: Store,
    actor: Actor,
    job_id: UUID,
    supervision: Supervision,
    *,
    times: int = 1,
    settings: Any = BRIEF,
) -> None:
    """A signal stops each while the job runs."""

    @handler("endless")
    async def endless(job: Payload, ctx: JobContext) -> None:
        await asyncio.sleep(60)

    for _ in range(times):
        async with running_worker(store, [endless], settings, supervision=supervision) as running:
            await becomes(store, actor, job_id, Status.RUNNING)
            await running.stop()
