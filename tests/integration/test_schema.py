from __future__ import annotations

import re
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from internal.adapters.postgres.database import open_engine
from internal.adapters.postgres.revision import VERSION_TABLE
from internal.adapters.postgres.schema import metadata
from tests.support.postgres import on_every_postgres

PARTITION = re.compile(r"(job|finished|attempt|attempt_log)_\d{8}")


@on_every_postgres
async def test_the_tables_in_code_are_those_that_the_migrations_make(database_url: str) -> None:
    engine = open_engine(database_url, name="windlass tests")
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences)
    await engine.dispose()

    assert differences == []


def _differences(connection: Connection) -> list[Any]:
    options = {
        "version_table": VERSION_TABLE,
        "compare_type": True,
        "compare_server_default": True,
        "include_name": _is_ours,
    }
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or PARTITION.fullmatch(name or "") is None
