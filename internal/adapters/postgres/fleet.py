from __future__ import annotations

from internal.adapters.postgres.database import Database
from internal.domain.ports.fleet import WorkerLoad


class PostgresFleet:
    """Fits the port Fleet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def loads(self) -> list[WorkerLoad]:
        query = """
            select id, slots, running, lag_ms
            from worker
            where expires_at > now()
            order by id
        """
        async with self._database.hot() as connection:
            return [WorkerLoad(*row) for row in await connection.fetch(query)]
