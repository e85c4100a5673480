"""Which revision the tables of a database are at, and which releases they serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec

from internal.adapters.postgres.database import Database, Hot
from internal.domain.errors import UnavailableError

# Of our own: a program that uses Alembic beside us has its `alembic_version`.
VERSION_TABLE: Final = "windlass_version"
MAKE_VERSION_TABLE: Final = f"""
    create table if not exists {VERSION_TABLE} (
      version_num varchar(32) not null constraint {VERSION_TABLE}_pkc primary key,
      serves varchar(32)
    )
"""
_READ: Final = f"""
    select version_num, serves, to_regclass('job') is not null as has_tables from {VERSION_TABLE}
"""  # noqa: S608


class Revision(msgspec.Struct, frozen=True):
    """Where the tables are; a release that knows the revision `serves` can use them."""

    version: str
    serves: str
    has_tables: bool = True


async def read_revision(connection: asyncpg.Connection | Hot) -> Revision | None:
    """None for a database without tables of ours."""
    try:
        row = await connection.fetchrow(_READ)
    except asyncpg.UndefinedTableError:
        return None
    if row is None:
        return None
    version = row["version_num"]
    return Revision(version, row["serves"] or version, row["has_tables"])


class SchemaCheck:
    """Asks again and again whether this process can use the tables; `refusal` says why not."""

    def __init__(
        self, database: Database, refusal: Callable[[Revision | None], str | None]
    ) -> None:
        self._database = database
        self._refusal = refusal

    async def __call__(self) -> None:
        """Look once.

        Raises:
            UnavailableError: saying what is wrong with them.
        """
        async with self._database.hot() as connection:
            found = await read_revision(connection)
        if (reason := self._refusal(found)) is not None:
            raise UnavailableError(reason[0].upper() + reason[1:])
