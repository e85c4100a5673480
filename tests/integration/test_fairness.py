"""The statements do what the rules of fairness say, alone and many at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from asyncpg import CheckViolationError

from tests.support.fair_histories import FairHistory
from tests.support.postgres import on_every_postgres
from tests.support.store import Store, an_end, open_store

# More find what a few do not: WINDLASS_FAIR_STEPS=5000 takes some minutes.
STEPS = int(os.environ.get("WINDLASS_FAIR_STEPS", "150"))
SEED = int(os.environ.get("WINDLASS_FAIR_SEED", "1"))

pytestmark = on_every_postgres


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        yield store


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
