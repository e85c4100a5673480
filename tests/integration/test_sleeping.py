"""Queues fall asleep and wake; whatever happens meanwhile, no job is overlooked."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import cast
from uuid import UUID

import pytest

from internal.adapters.postgres.clock import PostgresClock
from internal.adapters.postgres.database import Database, Hot
from internal.adapters.postgres.submissions import PostgresSubmissions
from internal.domain.accounts import Actor
from internal.domain.errors import InvalidStateError
from internal.domain.ids import new_id
from internal.domain.jobs import Outcome, Settlement, Status
from internal.domain.ports.work import ClaimedJob, Finish, Lease
from tests.support.conditions import eventually
from tests.support.postgres import on_every_postgres
from tests.support.store import AGING, ROUTES, TTL, Store, a_job, open_store

# More find what a few do not: WINDLASS_SLEEP_STEPS=20000 takes some minutes.
STEPS = int(os.environ.get("WINDLASS_SLEEP_STEPS", "2000"))
SEED = int(os.environ.get("WINDLASS_SLEEP_SEED", "1"))
AT_ONCE = 8

pytestmark = on_every_postgres


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url, size=AT_ONCE + 4) as store:
        yield store


class OneConnection:
    """A database of one connection, whose transaction the test ends."""

    def __init__(self, connection: Hot) -> None:
        self._connection = connection

    @asynccontextmanager
    async def hot(self) -> AsyncIterator[Hot]:
        yield self._connection


@asynccontextmanager
async def uncommitted(store: Store) -> AsyncIterator[tuple[Hot, PostgresSubmissions]]:
    """A transaction that commits in the end, and a way to submit in it."""
    async with store.database.hot() as connection, connection.transaction():
        database = cast(Database, OneConnection(connection))
        clock = PostgresClock(database, new_id)
        yield connection, PostgresSubmissions(database, store.wakeups, AGING, clock)


async def an_idle_user(store: Store, *queues: str, drained: bool) -> Actor:
    """Their queues are awake and empty; they count as drained, or as somebody who is served."""
    actor = await store.a_user()
    worker = await store.a_worker()
    jobs = [await store.submit(actor, queue=queue) for queue in queues]
    if drained:
        assert len(await store.work.claim(worker, ROUTES, 10)) == len(queues)
    else:
        for job in jobs:
            await store.commands.cancel(actor, job.id)
    async with store.database.hot() as connection:
        query = "select drained from tenant where user_id = $1 and awake"
        assert await connection.fetchval(query, actor.user_id) is drained
    return actor


async def claimed(store: Store) -> list[UUID]:
    worker = await store.a_worker()
    return [job.id for job in await store.work.claim(worker, ROUTES, 10)]


@pytest.mark.parametrize("drained", [True, False])
async def test_a_job_that_is_not_committed_yet_keeps_its_queue_awake(
    store: Store, *, drained: bool
) -> None:
    actor = await an_idle_user(store, "default", drained=drained)
    async with uncommitted(store) as (_, submissions):
        (job,) = await submissions.submit(actor, [a_job()])
        await store.upkeep.tend_flows(10)

    assert await claimed(store) == [job.id]


@pytest.mark.parametrize("drained", [True, False])
async def test_a_job_that_comes_while_its_queue_falls_asleep_wakes_it(
    store: Store, *, drained: bool
) -> None:
    actor = await an_idle_user(store, "default", drained=drained)
    async with uncommitted(store) as (connection, _):
        assert await connection.fetchval("select tend_flows(10)") == 1
        submitting = asyncio.create_task(store.submit(actor))
        await eventually(lambda: _somebody_waits(store))

    job = await submitting
    assert await claimed(store) == [job.id]


@pytest.mark.parametrize("drained", [True, False])
async def test_of_two_queues_one_may_sleep_while_a_job_comes_to_the_other(
    store: Store, *, drained: bool
) -> None:
    actor = await an_idle_user(store, "one", "two", drained=drained)
    async with uncommitted(store) as (_, submissions):
        (job,) = await submissions.submit(actor, [a_job(queue="two")])
        await store.upkeep.tend_flows(10)
        # The one is asleep, and its user is not.
        await store.upkeep.tend_flows(10)

    assert await claimed(store) == [job.id]


@pytest.mark.parametrize("queue", ["one", "two", "three"])
async def test_a_user_who_falls_asleep_with_two_queues_is_woken_by_any(
    store: Store, queue: str
) -> None:
    actor = await an_idle_user(store, "one", "two", drained=False)
    async with uncommitted(store) as (connection, _):
        assert await connection.fetchval("select tend_flows(10)") == 2
        submitting = asyncio.create_task(store.submit(actor, queue=queue))
        await eventually(lambda: _somebody_waits(store))

    job = await submitting
    assert await claimed(store) == [job.id]


async def test_a_user_who_wakes_up_is_not_put_to_sleep_meanwhile(store: Store) -> None:
    actor = await an_idle_user(store, "default", drained=True)
    await store.upkeep.tend_flows(10)
    async with uncommitted(store) as (_, submissions):
        (job,) = await submissions.submit(actor, [a_job()])
        await store.upkeep.tend_flows(10)

    await store.upkeep.tend_flows(10)
    assert await claimed(store) == [job.id]


async def test_a_job_that_overtakes_is_found_though_its_queue_begins_later(store: Store) -> None:
    actor = await store.a_user()
    await store.a_worker()
    late = await store.submit(actor, priority="low")
    async with uncommitted(store) as (connection, _):
        assert await connection.fetchval("select tend_flows(10)") == 1
        submitting = asyncio.create_task(store.submit(actor, priority="high"))
        await eventually(lambda: _somebody_waits(store))

    job = await submitting
    assert await claimed(store) == [job.id, late.id]


async def test_a_queue_does_not_begin_after_a_job_that_is_not_committed_yet(store: Store) -> None:
    actor = await store.a_user()
    await store.a_worker()
    late = await store.submit(actor, priority="low")
    async with uncommitted(store) as (_, submissions):
        (job,) = await submissions.submit(actor, [a_job(priority="high")])
        await store.upkeep.tend_flows(10)

    await store.upkeep.tend_flows(10)
    assert await claimed(store) == [job.id, late.id]


async def test_a_job_that_is_handed_back_is_found_before_where_its_queue_began(
    store: Store,
) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.submit(actor, priority="high")
    late = await store.submit(actor, priority="low")
    first = await store.claim_one(worker)
    await store.upkeep.tend_flows(10)

    await store.work.hand_back([(Lease(first.id, first.token), first.attempts)])

    assert await claimed(store) == [first.id, late.id]


async def test_jobs_that_nobody_served_are_found_when_a_worker_for_them_comes(store: Store) -> None:
    actor = await store.a_user()
    await store.work.register("w-other", TTL, slots=1, routes=["other"])
    first = await store.submit(actor)
    await store.upkeep.tend_flows(10)
    second = await store.submit(actor)
    async with store.database.hot() as connection:
        assert not await connection.fetchval("select awake from tenant")

    worker = await store.a_worker()
    await store.upkeep.tend_flows(10)

    assert await store.work.is_waiting(ROUTES)
    found = await store.work.claim(worker, ROUTES, 10)
    assert [job.id for job in found] == [first.id, second.id]


async def test_nobody_is_put_to_sleep_while_no_worker_lives(store: Store) -> None:
    """When the only worker starts again, its claims find everybody awake."""
    job = await store.submit(await store.a_user())

    await store.upkeep.tend_flows(10)

    assert await claimed(store) == [job.id]


async def test_a_user_who_waits_for_a_slower_worker_gives_nobody_credit(store: Store) -> None:
    slow, busy, newcomer = [await store.a_user() for _ in range(3)]
    worker = await store.a_worker()
    await store.submit(slow, type="slow")
    await store.submissions.submit(busy, [a_job(each) for each in range(9)])
    await store.execute("update tenant set virtual_time = 1000 where user_id = $1", busy.user_id)

    await store.submit(newcomer)
    order = [job.user_id for job in await store.work.claim(worker, ROUTES, 4)]

    assert order.count(newcomer.user_id) == 1
    assert order.count(busy.user_id) == 3


async def _somebody_waits(store: Store) -> bool:
    query = "select exists (select from pg_locks where not granted)"
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(query))


class Crowd:
    """Some users' jobs are submitted, claimed, ended, canceled ... all at once, for so many steps.

    Any error ends it: a deadlock too, which the store tells as being unavailable.
    """

    def __init__(self, store: Store, seed: int) -> None:
        self._store = store
        self._random = Random(seed)  # noqa: S311 - a seed makes the choices again
        self._actors: list[Actor] = []
        self._jobs: list[tuple[Actor, UUID]] = []
        self._held: list[ClaimedJob] = []
        self._worker = ""
        self._steps = 0
        self._deeds: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (self._submit, 8),
            (self._claim, 8),
            (self._finish, 6),
            (self._hand_back, 3),
            (lambda: self._change(store.commands.cancel), 3),
            (lambda: self._change(store.commands.retry), 3),
            (lambda: store.upkeep.fold_counters(1000), 4),
            (lambda: store.upkeep.tend_flows(1000), 6),
            (lambda: store.upkeep.stage_due(1000), 4),
        ]

    async def run(self, steps: int) -> None:
        self._actors = [await self._store.a_user() for _ in range(6)]
        self._worker = await self._store.a_worker(timedelta(hours=1))
        self._steps = steps
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._live())

    async def _live(self) -> None:
        deeds, weights = zip(*self._deeds, strict=True)
        while self._steps:
            self._steps -= 1
            (deed,) = self._random.choices(deeds, weights)
            await deed()

    async def _submit(self) -> None:
        actor = self._random.choice(self._actors)
        soon = datetime.now(UTC) + timedelta(milliseconds=20)
        jobs = [
            a_job(index, queue=self._random.choice("abc"), run_at=self._random.choice([None, soon]))
            for index in range(self._random.choice([1, 1, 10]))
        ]
        kept = await self._store.submissions.submit(actor, jobs)
        self._jobs += [(actor, each.id) for each in kept]

    async def _claim(self) -> None:
        limit = self._random.choice([1, 5, 50])
        found = await self._store.work.claim(self._worker, ROUTES, limit)
        self._held += found

    async def _finish(self) -> None:
        """Also several users' jobs that are queued or scheduled again, by one statement."""
        ends = []
        for job in self._some_held():
            status = self._random.choice([Status.SUCCEEDED, Status.FAILED, Status.QUEUED])
            outcome = Outcome.SUCCEEDED if status is Status.SUCCEEDED else Outcome.FAILED
            attempts = min(job.attempts + 1, job.max_attempts - 1)
            settlement = Settlement(status, attempts)
            ran_ms = self._random.choice([1.0, 1000.0])
            ends.append(
                Finish(Lease(job.id, job.token), outcome, settlement, ran_ms, time.monotonic())
            )
        await self._store.work.finish(ends)

    async def _hand_back(self) -> None:
        given = [(Lease(job.id, job.token), job.attempts) for job in self._some_held()]
        await self._store.work.hand_back(given)

    def _some_held(self) -> list[ClaimedJob]:
        self._random.shuffle(self._held)
        number = self._random.randint(0, 30)
        some, self._held = self._held[:number], self._held[number:]
        return some

    async def _change(self, command: Callable[[Actor, UUID], Awaitable[None]]) -> None:
        if self._jobs:
            with suppress(InvalidStateError):
                await command(*self._random.choice(self._jobs))


@pytest.mark.timeout(0 if STEPS > 2000 else 120)
async def test_a_crowd_meets_no_deadlock_and_leaves_no_job_behind(store: Store) -> None:
    await Crowd(store, SEED).run(STEPS)

    worker = await store.a_worker(timedelta(hours=1))
    while await store.work.is_waiting(ROUTES):
        await store.work.claim(worker, ROUTES, 1000)
    async with store.database.hot() as connection:
        assert await connection.fetchval("select count(*) from ready") == 0
        query = "select deadlocks from pg_stat_database where datname = current_database()"
        await connection.execute("select pg_stat_clear_snapshot()")
        assert await connection.fetchval(query) == 0
