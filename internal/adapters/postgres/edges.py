"""Looking at what depends on what."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from internal.adapters.postgres.database import Database
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.ports.jobs import Edge


class PostgresTies:
    """One statement a step."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def edges(self, actor: Actor, job_ids: Sequence[UUID], limit: int) -> list[Edge]:
        async with self._database.hot() as connection:
            values = (actor.user_id, list(job_ids), limit)
            rows = await connection.fetch(statement("edges"), *values)
        return [(row["parent_id"], row["child_id"]) for row in rows]
