"""What the database role of a process must be allowed."""

from __future__ import annotations

import logging
from typing import Final

import asyncpg

from internal.adapters.postgres.partitions import days_made
from internal.adapters.postgres.schema import metadata
from internal.bootstrap.errors import StartError

# Views and sequences come with their tables; functions may be run by all unless that was revoked.
_TABLES: Final = """
    select name, array(
      select privilege
      from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) privilege
      where not has_table_privilege(to_regclass(name), privilege)) as lacking
    from unnest($1::text[]) name
    where to_regclass(name) is not null
"""
_FUNCTIONS: Final = """
    select proname
    from pg_proc
    where pronamespace = (select relnamespace from pg_class where oid = 'job'::regclass)
      and proowner = (select relowner from pg_class where oid = 'job'::regclass)
      and not has_function_privilege(oid, 'EXECUTE')
    order by proname
    limit 1
"""
# A partition belongs to who owns the table that it is attached to.
_MAKES_PARTITIONS: Final = """
    select pg_has_role(relowner, 'USAGE')
           and has_schema_privilege(relnamespace, 'CREATE') as can, relowner::regrole::text as owner
    from pg_class
    where oid = 'job'::regclass
"""

_log = logging.getLogger(__name__)


async def require_rights(connection: asyncpg.Connection) -> None:
    """Refuse a role that cannot do all that processes do.

    Raises:
        StartError: naming the right that it lacks, and how to give it.
    """
    role = await connection.fetchval("select current_user")
    for row in await connection.fetch(_TABLES, sorted(metadata.tables)):
        if row["lacking"]:
            needs = ", ".join(row["lacking"])
            raise StartError(f"the database role {role} may not {needs} on {row['name']}: {_SEE}")
    if function := await connection.fetchval(_FUNCTIONS):
        raise StartError(f"the database role {role} may not EXECUTE {function}: {_SEE}")
    await _require_partitions(connection, role)


async def _require_partitions(connection: asyncpg.Connection, role: str) -> None:
    row = await connection.fetchrow(_MAKES_PARTITIONS)
    if row is None or row["can"]:
        return
    owner, days = row["owner"], await days_made(connection)
    if not days:
        raise StartError(
            f"the database role {role} may not make partitions of job, which {owner} owns, and "
            f"today has none: {_SEE}"
        )
    _log.warning(
        "the database role %s may not make partitions of job, which %s owns: no job can be stored "
        "in %d days; %s",
        *(role, owner, days, _SEE),
    )


_SEE: Final = "give it the rights that docs/upgrading.md lists under Roles"
