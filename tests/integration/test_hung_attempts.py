"""Handlers that do not stop when told: their attempts end, and their places stay taken."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from internal.adapters.postgres.standings import PostgresStandings
from internal.domain.accounts import Actor
from internal.domain.jobs import Outcome, Status
from internal.domain.queues import QueueSettings
from internal.domain.why import explain
from tests.support.conditions import eventually
from tests.support.invariants import violations
from tests.support.store import Store, open_store
from tests.support.workers import SETTINGS, becomes, running_worker
from windlass import Handler, JobContext, handler

Payload = dict[str, Any]

BRIEF = replace(SETTINGS, shutdown_grace=timedelta(milliseconds=100))
FAST = {"strategy": "fixed", "base_ms": 1}


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        listener = asyncio.create_task(store.wakeups.run())
        yield store
        listener.cancel()


class Stubborn:
    """Handlers that go on, whatever they are told, until a test lets them end."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self._end = threading.Event()

    def let_end(self) -> None:
        self._end.set()

    def async_handler(self) -> Handler:
        @handler("stubborn")
        async def stubborn(job: Payload, ctx: JobContext) -> str:
            self._begin(ctx)
            while not self._end.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    continue
            self.at_once -= 1
            return "too late"

        return stubborn

    def thread_handler(self) -> Handler:
        @handler("stubborn")
        def stubborn(job: Payload, ctx: JobContext) -> str:
            self._begin(ctx)
            return self._work()

        return stubborn

    def awaited_thread_handler(self) -> Handler:
        @handler("stubborn")
        async def stubborn(job: Payload, ctx: JobContext) -> str:
            self._begin(ctx)
            return await asyncio.to_thread(self._work)

        return stubborn

    def forgotten_thread_handler(self) -> Handler:
        """Succeeds at once, and what it began goes on."""

        @handler("stubborn")
        async def stubborn(job: Payload, ctx: JobContext) -> None:
            self._begin(ctx)
            asyncio.get_running_loop().run_in_executor(None, self._work)

        return stubborn

    def _work(self) -> str:
        self._end.wait(60)
        self.at_once -= 1
        return "too late"

    def _begin(self, ctx: JobContext) -> None:
        self.starts.append(ctx.attempt)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)


@pytest.fixture
async def stubborn() -> AsyncIterator[Stubborn]:
    stubborn = Stubborn()
    yield stubborn
    stubborn.let_end()


kinds = pytest.mark.parametrize(
    "kind", [Stubborn.async_handler, Stubborn.thread_handler, Stubborn.awaited_thread_handler]
)
Kind = Callable[[Stubborn], Handler]


async def submit(store: Store, actor: Actor, **fields: Any) -> Any:
    wanted = {"type": "stubborn", "timeout_ms": 50, "backoff": FAST, "max_attempts": 2} | fields
    return (await store.submit(actor, **wanted)).id


async def outcomes(store: Store, actor: Actor, job_id: Any) -> list[Outcome]:
    return [each.status for each in await store.attempts(actor, job_id)]


@kinds
async def test_the_attempt_is_timed_out_and_the_job_starts_again_when_its_work_has_ended(
    store: Store, stubborn: Stubborn, kind: Kind
) -> None:
    actor = await store.a_user()
    async with running_worker(store, [kind(stubborn)]):
        job_id = await submit(store, actor)
        job = await becomes(store, actor, job_id, Status.SCHEDULED)
        assert (job.attempts, job.last_error) == (1, "timed out after 0.05 s")
        await store.upkeep.stage_due(100)
        assert (await store.job(actor, job_id)).status is Status.SCHEDULED
        assert "has not ended" in await why(store, actor, job_id)
        assert await violations(store) == {}

        stubborn.let_end()
        assert (await becomes(store, actor, job_id, Status.SUCCEEDED)).result == '"too late"'

    assert stubborn.starts == [1, 2]
    assert stubborn.most_at_once == 1
    assert await outcomes(store, actor, job_id) == [Outcome.TIMED_OUT, Outcome.SUCCEEDED]


@kinds
async def test_a_result_that_comes_after_the_last_attempt_was_given_up_changes_nothing(
    store: Store, stubborn: Stubborn, kind: Kind
) -> None:
    actor = await store.a_user()
    async with running_worker(store, [kind(stubborn)]):
        job_id = await submit(store, actor, max_attempts=1)
        await becomes(store, actor, job_id, Status.FAILED)
        assert await _held(store) == 1
        stubborn.let_end()

        async def let_go() -> bool:
            return await _held(store) == 0

        await eventually(let_go)

    job = await store.job(actor, job_id)
    assert (job.status, job.result, job.attempts) == (Status.FAILED, None, 1)


@kinds
async def test_a_cancel_that_a_handler_does_not_hear_ends_with_its_time(
    store: Store, stubborn: Stubborn, kind: Kind
) -> None:
    actor = await store.a_user()
    async with running_worker(store, [kind(stubborn)]):
        job_id = await submit(store, actor, timeout_ms=1_000)
        await eventually(lambda: stubborn.starts == [1])
        await store.commands.cancel(actor, job_id)
        await becomes(store, actor, job_id, Status.CANCELED)
        stubborn.let_end()


@kinds
async def test_a_process_of_which_half_the_slots_hang_is_replaced(
    store: Store, stubborn: Stubborn, kind: Kind
) -> None:
    actor = await store.a_user()
    async with running_worker(store, [kind(stubborn)], replace(BRIEF, slots=2)) as running:
        await submit(store, actor)
        await running.ended()
        assert running.worker.is_worn_out


async def test_a_process_with_one_slot_is_replaced_when_it_hangs(
    store: Store, stubborn: Stubborn
) -> None:
    actor = await store.a_user()
    one = replace(BRIEF, slots=1)
    async with running_worker(store, [stubborn.async_handler()], one) as running:
        await submit(store, actor)
        await running.ended()
        assert running.worker.is_worn_out


@kinds
async def test_a_stop_releases_what_does_not_end_and_it_starts_when_the_process_has_ended(
    store: Store, stubborn: Stubborn, kind: Kind
) -> None:
    actor = await store.a_user()
    async with running_worker(store, [kind(stubborn)], BRIEF) as running:
        job_id = await submit(store, actor, timeout_ms=60_000)
        await eventually(lambda: stubborn.starts == [1])
        await running.stop()

    job = await store.job(actor, job_id)
    assert (job.status, job.attempts) == (Status.SCHEDULED, 0)
    assert await outcomes(store, actor, job_id) == [Outcome.RELEASED]
    assert await store.upkeep.stage_due(100) == (0, None)

    await _process_ends(store)
    assert (await store.upkeep.stage_due(100))[0] == 1
    assert await violations(store) == {}


@kinds
async def test_a_place_under_a_limit_stays_taken_until_the_work_has_ended(
    store: Store, stubborn: Stubborn, kind: Kind
) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "q", QueueSettings(max_running=1))
    async with running_worker(store, [kind(stubborn)]):
        first = await submit(store, actor, queue="q", max_attempts=1)
        second = await submit(store, actor, queue="q", max_attempts=1)
        await becomes(store, actor, first, Status.FAILED)
        await store.upkeep.admit(100)
        assert (await store.job(actor, second)).status is Status.QUEUED
        stubborn.let_end()
        await becomes(store, actor, second, Status.SUCCEEDED)

    assert stubborn.most_at_once == 1


async def test_a_place_stays_taken_while_a_thread_of_a_job_that_succeeded_works(
    store: Store, stubborn: Stubborn
) -> None:
    actor = await store.a_user()
    await store.queues.set(actor, "q", QueueSettings(max_running=1))
    async with running_worker(store, [stubborn.forgotten_thread_handler()]):
        first = await submit(store, actor, queue="q")
        second = await submit(store, actor, queue="q")
        await becomes(store, actor, first, Status.SUCCEEDED)
        await store.upkeep.admit(100)
        assert (await store.job(actor, second)).status is Status.QUEUED
        assert await violations(store) == {}
        stubborn.let_end()
        await becomes(store, actor, second, Status.SUCCEEDED)

    assert stubborn.most_at_once == 1


@kinds
async def test_so_does_a_place_of_a_concurrency_key(
    store: Store, stubborn: Stubborn, kind: Kind
) -> None:
    actor = await store.a_user()
    keyed = {"concurrency_key": "customer 7", "max_attempts": 1}
    async with running_worker(store, [kind(stubborn)]):
        first = await submit(store, actor, **keyed)
        second = await submit(store, actor, **keyed)
        await becomes(store, actor, first, Status.FAILED)
        await store.upkeep.admit(100)
        assert (await store.job(actor, second)).status is Status.QUEUED
        stubborn.let_end()
        await becomes(store, actor, second, Status.SUCCEEDED)

    assert stubborn.most_at_once == 1


async def test_a_lost_lease_stops_a_handler_that_does_not_listen_and_its_slot_hangs(
    store: Store, stubborn: Stubborn
) -> None:
    actor = await store.a_user()
    few = replace(BRIEF, slots=2)
    async with running_worker(store, [stubborn.async_handler()], few) as running:
        await submit(store, actor, timeout_ms=60_000)
        await eventually(lambda: stubborn.starts == [1])
        await store.execute("update worker set expires_at = now() - interval '1 second'")
        await eventually(lambda: running.worker.is_worn_out)


async def why(store: Store, actor: Actor, job_id: Any) -> str:
    standing = await PostgresStandings(store.database).standing(actor, job_id)
    assert standing is not None
    return explain(standing).detail


async def _held(store: Store) -> int:
    async with store.database.hot() as connection:
        return int(await connection.fetchval("select count(*) from hold"))


async def _process_ends(store: Store) -> None:
    """As the supervisor sees it."""
    async with store.database.hot() as connection:
        names = [row["id"] for row in await connection.fetch("select id from worker")]
    await store.end_processes(names)
    await store.upkeep.rescue_expired(100)
