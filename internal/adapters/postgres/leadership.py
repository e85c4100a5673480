"""The leader of an installation, as a row that it renews."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from internal.adapters.postgres.database import Database
from internal.adapters.postgres.wakeups import PostgresWakeups

LEAD: Final = """
    insert into leader (name, holder, expires_at, session)
    values ($1, $2, now() + $3::interval, $5)
    on conflict (name) do update
    set holder = excluded.holder, expires_at = excluded.expires_at, session = excluded.session
    where leader.holder = excluded.holder
       or leader.expires_at + $4::interval < now()
       or not exists (select from pg_stat_get_activity(leader.session)) -- of null: all sessions
    returning true
"""
RESIGN: Final = """
    update leader
    set expires_at = now() - $3::interval
    where name = $1
      and holder = $2
"""


class PostgresLeadership:
    """Fits the port Leadership.

    The row names the session of the process's wake-ups: a leader whose session has ended is dead,
    and is followed before its time has run out.
    """

    def __init__(self, database: Database, wakeups: PostgresWakeups, name: str = "upkeep") -> None:
        self._database = database
        self._wakeups = wakeups
        self._name = name

    async def lead(self, holder: str, ttl: timedelta, *, wait: timedelta) -> bool:
        async with self._database.hot() as connection:
            values = (self._name, holder, ttl, wait, self._wakeups.session)
            return bool(await connection.fetchval(LEAD, *values))

    async def resign(self, holder: str, *, wait: timedelta) -> None:
        async with self._database.hot() as connection:
            await connection.execute(RESIGN, self._name, holder, wait)
