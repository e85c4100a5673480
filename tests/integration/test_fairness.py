"""The statements do what the rules of fairness say, alone and many at once."""

from __future__ import annotations

import asyncio
import os
from random import Random
from uuid import UUID

import pytest
from asyncpg import CheckViolationError

from tests.support.fair_histories import FairHistory
from tests.support.postgres import on_every_postgres
from tests.support.store import ROUTES, Store, a_job, an_end, open_store

# More find what a few do not: WINDLASS_FAIR_STEPS=5000 takes some minutes.
STEPS = int(os.environ.get("WINDLASS_FAIR_STEPS", "150"))
SEED = int(os.environ.get("WINDLASS_FAIR_SEED", "1"))

pytestmark = on_every_postgres


@pytest.mark.timeout(0 if STEPS > 150 else 120)
async def test_the_store_serves_as_the_rules_say(store: Store) -> None:
    history = FairHistory(store, SEED)
    await history.begin(users=9)
    for _ in range(STEPS):
        await history.step()


async def test_any_number_of_ends_can_be_folded_at_once(store: Store) -> None:
    """A power of 0.9 that high underflows."""
    actor, worker = await store.a_user(), await store.a_worker()
    await store.submit(actor)
    await store.work.finish([an_end(await store.claim_one(worker))])
    many = "update counter_delta set waits = array_fill(1::smallint, array[10000]) where used > 0"
    await store.execute(many)

    await store.upkeep.fold_counters(1000)

    async with store.database.hot() as connection:
        cost = await connection.fetchval("select cost from flow")
        assert 0 < cost < 0.001
        assert await connection.fetchval("select count(*) from counter_delta") == 0


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "0", "-1", "1e-9", "1e9"])
async def test_a_weight_that_no_virtual_time_can_bear_is_refused(store: Store, weight: str) -> None:
    await store.a_user()

    with pytest.raises(CheckViolationError):
        await store.execute("update tenant set weight = $1", float(weight))


async def test_many_claimers_keep_to_the_bound_and_lose_nothing(database_url: str) -> None:
    random = Random(SEED)  # noqa: S311 - a seed makes the choices again
    batch, claimers, users = 10, 6, 12
    async with open_store(database_url, size=claimers) as store:
        workers = [await store.a_worker() for _ in range(claimers)]
        jobs = await _work_of(store, users, random)
        seen: list[UUID] = []
        longest = 0.08 / 0.5

        async def claim(worker: str) -> None:
            claimed = await store.work.claim(worker, ROUTES, random.randint(1, batch))
            seen.extend(job.id for job in claimed)

        while await _busy(store) == users:
            await asyncio.gather(*(claim(worker) for worker in workers))
            assert await _spread(store) <= (1.25 * batch + 1) * longest
        while await store.work.is_waiting(ROUTES):
            await asyncio.gather(*(claim(worker) for worker in workers))

        assert len(seen) == len(set(seen))
        assert set(seen) == jobs


async def _work_of(store: Store, users: int, random: Random) -> set[UUID]:
    """Users of weights 0.5 to 3, with two queues of jobs of 10 to 80 ms as estimated."""
    jobs = set()
    for _ in range(users):
        actor = await store.a_user()
        queues = [a_job(index, queue="ab"[index % 2]) for index in range(300)]
        jobs |= {each.id for each in await store.submissions.submit(actor, queues)}
        weight = "update tenant set weight = $2, virtual_time = 0 where user_id = $1"
        await store.execute(weight, actor.user_id, random.choice([0.5, 1.0, 3.0]))
    await store.execute("update flow set cost = case when queue = 'a' then 0.01 else 0.08 end")
    return jobs


async def _busy(store: Store) -> int:
    async with store.database.hot() as connection:
        query = "select count(distinct user_id) from ready"
        return int(await connection.fetchval(query))


async def _spread(store: Store) -> float:
    """How far apart users with queued jobs stand."""
    query = """
        select max(virtual_time) - min(virtual_time) from tenant
        where user_id in (select user_id from ready)
    """
    async with store.database.hot() as connection:
        return float(await connection.fetchval(query) or 0)
