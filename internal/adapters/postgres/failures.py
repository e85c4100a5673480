"""Failed jobs in groups: their texts, and how many there are of each."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from internal.adapters.postgres.database import Database, Hot, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.failures import Failure, FailureGroup, GroupMark, written

UNKNOWN_MESSAGE: Final = "failed before failures were grouped, or with an error that was not kept"


class PostgresFailures:
    """Fits the port Failures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, actor: Actor, limit: int, after: GroupMark | None) -> list[FailureGroup]:
        mark = (None, None) if after is None else (after.count, after.fingerprint)
        async with self._database.hot() as connection:
            rows = await connection.fetch(statement("failures"), actor.user_id, *mark, limit)
        return [_group(row) for row in rows]


async def note(connection: Hot, failures: Collection[Failure]) -> None:
    """Keep what groups are called; each failure once."""
    columns = zip(*((f.user_id, f.fingerprint, f.type, f.message) for f in failures), strict=True)
    await connection.execute(statement("note_failures"), *map(list, columns))


def _group(row: Row) -> FailureGroup:
    return FailureGroup(
        fingerprint=written(row["fingerprint"]),
        type=row["type"],
        message=UNKNOWN_MESSAGE if row["message"] is None else row["message"],
        count=row["count"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
    )
