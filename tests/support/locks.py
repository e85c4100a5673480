"""Holding locks, and waiting until others wait for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from internal.adapters.postgres.database import Hot
from tests.support.conditions import eventually
from tests.support.store import Store


@asynccontextmanager
async def a_transaction(store: Store) -> AsyncIterator[Hot]:
    async with store.database.hot() as connection, connection.transaction():
        yield connection


async def waiting(store: Store, number: int) -> None:
    """So many wait for a lock by now."""

    async def are_stuck() -> bool:
        query = """
            select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'
        """
        async with store.database.hot() as connection:
            return bool(await connection.fetchval(query) == number)

    await eventually(are_stuck)
