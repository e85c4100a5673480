"""The place of an attempt that has ended while its work goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from internal.domain.accounts import Actor
from internal.domain.jobs import Outcome, Status
from internal.domain.ports.work import ClaimedJob
from internal.domain.queues import QueueSettings
from tests.support.gates import age_lanes, let_through
from tests.support.invariants import violations
from tests.support.store import ROUTES, Store, an_end, open_store

NARROW = QueueSettings(max_running=1)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        yield store


async def hang(store: Store, actor: Actor, worker: str, **fields: Any) -> ClaimedJob:
    """A job whose last attempt was given up, and goes on."""
    await store.submit(actor, max_attempts=1, **fields)
    await let_through(store)
    claimed = await store.claim_one(worker)
    await store.work.finish([replace(an_end(claimed, Outcome.TIMED_OUT), is_held=True)])
    return claimed


async def claim(store: Store, worker: str) -> int:
    await let_through(store)
    await store.upkeep.tend_flows(100)
    return len(await store.work.claim(worker, ROUTES, 10))


async def test_it_is_held_until_the_work_has_ended(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.queues.set(actor, "q", NARROW)
    claimed = await hang(store, actor, worker, queue="q")
    await store.submit(actor, queue="q")
    assert await claim(store, worker) == 0

    await store.work.let_go([claimed.lease])
    assert await claim(store, worker) == 1
    assert await violations(store) == {}


@pytest.mark.parametrize("is_known", [True, False])
async def test_or_until_its_process_has(
    store: Store,
    is_known: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    actor, worker, other = await store.a_user(), await store.a_worker(), await store.a_worker()
    await store.queues.set(actor, "q", NARROW)
    await hang(store, actor, worker, queue="q")
    await store.submit(actor, queue="q")
    await store.work.leave(worker)
    await store.upkeep.rescue_expired(10)
    assert await claim(store, other) == 0, "the process may still be ending"

    await (store.end_processes([worker]) if is_known else store.expire(worker))
    await store.upkeep.rescue_expired(10)
    assert await claim(store, other) == 1
    assert await violations(store) == {}


async def test_a_retry_by_hand_waits_for_it(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    claimed = await hang(store, actor, worker, concurrency_key="k")
    await store.commands.retry(actor, claimed.id)
    assert (await store.job(actor, claimed.id)).status is Status.SCHEDULED
    assert (await store.upkeep.stage_due(10))[0] == 0

    await store.work.let_go([claimed.lease])
    assert (await store.upkeep.stage_due(10))[0] == 1
    assert await claim(store, worker) == 1
    assert await violations(store) == {}


async def test_so_does_a_job_that_rises_again_with_its_parent(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    parent = await store.submit(actor, max_attempts=1)
    first = await store.claim_one(worker)
    child = await store.submit(actor, depends_on=[str(parent.id)])
    await store.work.finish([an_end(first)])
    while await store.upkeep.settle_dependencies(10):
        pass
    claimed = await store.claim_one(worker)
    assert claimed.id == child.id
    await store.work.finish([replace(an_end(claimed, Outcome.TIMED_OUT), is_held=True)])
    await store.commands.cancel(actor, child.id)
    await store.commands.retry(actor, child.id)
    while await store.upkeep.settle_dependencies(10):
        pass

    assert (await store.job(actor, child.id)).status is Status.SCHEDULED
    assert (await store.upkeep.stage_due(10))[0] == 0
    await store.work.let_go([claimed.lease])
    assert (await store.upkeep.stage_due(10))[0] == 1
    assert await violations(store) == {}


async def test_a_job_can_be_deleted_and_the_place_stays_taken(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    await store.queues.set(actor, "q", NARROW)
    claimed = await hang(store, actor, worker, queue="q")
    await store.commands.delete(actor, claimed.id)
    await store.submit(actor, queue="q")
    assert await claim(store, worker) == 0
    assert await violations(store) == {}

    await store.work.let_go([claimed.lease])
    assert await claim(store, worker) == 1


async def test_it_counts_against_a_limit_that_came_later(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    claimed = await hang(store, actor, worker, queue="q")
    await store.queues.set(actor, "q", NARROW)
    await store.submit(actor, queue="q")
    assert await claim(store, worker) == 0

    await store.work.let_go([claimed.lease])
    assert await claim(store, worker) == 1


async def test_its_lane_is_not_pruned(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    claimed = await hang(store, actor, worker, concurrency_key="k")
    for _ in range(2):
        await age_lanes(store)
        await store.sweep("lanes")
        await let_through(store)
    await store.submit(actor, concurrency_key="k")
    assert await claim(store, worker) == 0

    await store.work.let_go([claimed.lease])
    assert await claim(store, worker) == 1


async def test_an_end_that_came_too_late_holds_nothing(store: Store) -> None:
    actor, worker, other = await store.a_user(), await store.a_worker(), await store.a_worker()
    await store.submit(actor, concurrency_key="k")
    await let_through(store)
    claimed = await store.claim_one(worker)
    await store.expire(worker)
    await store.upkeep.rescue_expired(10)
    late = replace(an_end(claimed, Outcome.TIMED_OUT), is_held=True)
    assert await store.work.finish([late]) == {claimed.id}

    assert await claim(store, other) == 1


async def test_a_place_that_is_held_for_a_process_long_gone_is_named(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    claimed = await hang(store, actor, worker)
    await store.execute("update worker set expires_at = now() - interval '2 minutes'")

    what = f"job {claimed.id} holds a place for work of {worker}, which ended"
    assert await violations(store) == {4: [what]}
