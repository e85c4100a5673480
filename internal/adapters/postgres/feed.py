"""The feed of changes: an outbox that statements write, put in order by one relay."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from internal.adapters.postgres.database import Database
from internal.adapters.postgres.statements import statement
from internal.domain.ports.feed import Change, Kind, Topic, Wakeups

# Any constant will do, as long as nothing else on this database takes the same advisory lock.
RELAY_LOCK: Final = 0x57494E44_4C415353
KINDS: Final = {kind.value: kind for kind in Kind}


class PostgresFeed:
    """Fits the ports Listeners, Relay and Feed."""

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups

    async def listen(self, user_ids: Collection[UUID], ttl: timedelta) -> set[UUID]:
        async with self._database.hot() as connection:
            rows = await connection.fetch(statement("listen"), list(user_ids), ttl)
        return {row["user_id"] for row in rows}

    async def telling(self) -> set[str]:
        async with self._database.hot() as connection:
            rows = await connection.fetch(statement("telling"))
        return {row["virtualtransaction"] for row in rows}

    async def relay(self, limit: int) -> int | None:
        async with self._database.hot() as connection:
            moved: int | None = await connection.fetchval(statement("relay"), limit, RELAY_LOCK)
        if moved:
            self._wakeups.send(Topic.FEED)
        return moved

    async def newest(self) -> int:
        async with self._database.hot() as connection:
            return int(await connection.fetchval("select coalesce(max(position), 0) from feed"))

    async def after(self, position: int, limit: int) -> list[Change]:
        query = """
            select position, user_id, kind, ids
            from feed
            where position > $1
            order by position
            limit $2
        """
        async with self._database.hot() as connection:
            rows = await connection.fetch(query, position, limit)
        return [
            Change(
                position=row["position"],
                user_id=row["user_id"],
                kind=KINDS.get(row["kind"]),
                ids=None if row["ids"] is None else tuple(row["ids"]),
            )
            for row in rows
        ]
