"""Whether a process can work with a database: the tables' revision, and the role's rights."""

from __future__ import annotations

from internal.adapters.postgres.connecting import connect
from internal.bootstrap.revisions import require_schema
from internal.bootstrap.rights import require_rights


async def require_usable(dsn: str) -> None:
    """Refuse what would fail later.

    Raises:
        StartError: in one line, saying what to do.
    """
    connection = await connect(dsn, name="windlass start check")
    try:
        await require_schema(connection)
        await require_rights(connection)
    finally:
        await connection.close()
