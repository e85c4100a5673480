"""The leader of an installation, as a row that it renews."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from internal.adapters.postgres.database import Database

LEAD: Final = """
    insert into leader (name, holder, expires_at)
    values ($1, $2, now() + $3::interval)
    on conflict (name) do update
    set holder = excluded.holder, expires_at = excluded.expires_at
    where leader.holder = excluded.holder
       or leader.expires_at + $4::interval < now()
    returning true
"""
RESIGN: Final = """
    update leader
    set expires_at = now() - $3::interval
    where name = $1
      and holder = $2
"""


class PostgresLeadership:
    """Fits the port Leadership."""

    def __init__(self, database: Database, name: str = "upkeep") -> None:
        self._database = database
        self._name = name

    async def lead(self, holder: str, ttl: timedelta, *, wait: timedelta) -> bool:
        async with self._database.hot() as connection:
            return bool(await connection.fetchval(LEAD, self._name, holder, ttl, wait))

    async def resign(self, holder: str, *, wait: timedelta) -> None:
        async with self._database.hot() as connection:
            await connection.execute(RESIGN, self._name, holder, wait)
