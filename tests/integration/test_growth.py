"""Every kind of row has an end: nothing is left but what is to be kept.

`make chaos` looks at a hundred thousand of each.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from internal.adapters.postgres.schema import metadata
from tests.support.growth import STAYING, fill, left
from tests.support.postgres import on_every_postgres
from tests.support.store import Store, open_store

ROWS: Final = int(os.environ.get("WINDLASS_CHAOS_GROWTH", "1000"))
# Tables that this does not fill: unfinished jobs and what they wait for end with their work, holds
# with their processes, schedules when their owners say so; of leaders there is one.
ELSEWHERE: Final = {
    *("blocked", "scheduled", "gated", "ready", "lease", "hold", "dependency_note"),
    *("schedule", "leader"),
}


@on_every_postgres
@pytest.mark.timeout(0 if ROWS > 1000 else 120)
async def test_nothing_is_left_of_what_has_come_to_its_end(database_url: str) -> None:
    async with open_store(database_url) as store:
        actor = await store.a_user()
        async with store.database.hot() as connection:
            await connection.execute("set statement_timeout = 0")
            await connection.execute("set enable_seqscan = on")
            await fill(connection, actor.user_id, ROWS)
            filled = await left(connection)
            assert_all_are_filled(filled)
            await connection.execute("vacuum analyze", timeout=600)

        await run_background(store)
        await store.execute("update queue set empty_since = empty_since - interval '25 hours'")
        await run_background(store)

        async with store.database.hot() as connection:
            await connection.execute("update feed set at = at - interval '11 minutes'")
        await store.sweep("live events")
        async with store.database.hot() as connection:
            assert await left(connection) == {}


async def run_background(store: Store) -> None:
    """What the periodic tasks do, until there is nothing left to do."""
    while await store.feed.relay(1000):
        pass
    while await store.upkeep.settle_dependencies(1000):
        pass
    await store.sweep()
    while await store.upkeep.fold_counters(5000):
        pass
    await store.sweep("queues")


def assert_all_are_filled(filled: dict[str, int]) -> None:
    """A table that is added later is not forgotten here."""
    few = {name for name in metadata.tables if filled.get(name, 0) < ROWS // 10}
    assert few == {*ELSEWHERE, *STAYING} & set(metadata.tables)
