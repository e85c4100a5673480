"""What else is in a database that is not ours yet."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from internal.adapters.postgres.schema import metadata
from internal.bootstrap.errors import StartError

_OF_OUR_NAMES: Final = """
    select relname
    from pg_class
    where relnamespace = current_schema()::regnamespace
      and relkind in ('r', 'p', 'v', 'm', 'f', 'S')
      and relname = any(:names)
    order by relname
"""
# Tables that hardly another program has: with them, `alembic_version` was ours.
_MARKS: Final = frozenset({"lease", "ready", "tenant", "counter_delta"})
_OLD_VERSION_TABLE: Final = "alembic_version"


async def require_room(connection: AsyncConnection) -> None:
    """Refuse a database in which other tables have our names.

    Raises:
        StartError: naming some of them.
    """
    names = [*metadata.tables, _OLD_VERSION_TABLE]
    rows = await connection.execute(text(_OF_OUR_NAMES), {"names": names})
    found = set(rows.scalars())
    await connection.commit()
    has_version = _OLD_VERSION_TABLE in found
    found.discard(_OLD_VERSION_TABLE)
    if has_version and found >= _MARKS:
        raise StartError(
            "the tables are of an early Windlass, which kept its revision in alembic_version: "
            "start anew in an empty database"
        )
    if found:
        some = ", ".join(sorted(found)[:3])
        raise StartError(
            f"the database has tables of another program under names of ours ({some}): "
            "give Windlass a database of its own"
        )
