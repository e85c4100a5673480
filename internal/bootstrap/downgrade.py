"""What `windlass migrate down` takes away, and when it must not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from internal.bootstrap.errors import StartError
from internal.bootstrap.migration_errors import APPLICATION

_SESSIONS: Final = """
    select distinct application_name
    from pg_stat_activity
    where datname = current_database()
      and application_name like 'windlass %'
      and application_name <> :ours
    order by 1
"""
_WORKERS: Final = "select count(*) from worker where expires_at > now()"
_TABLES: Final = """
    select c.relname,
           (select sum(greatest(p.reltuples, pg_stat_get_live_tuples(p.oid)))::bigint
            from pg_partition_tree(c.oid) t
            join pg_class p on p.oid = t.relid
            where t.isleaf) as part_rows,
           greatest(c.reltuples, pg_stat_get_live_tuples(c.oid))::bigint as own_rows,
           array(select attname::text from pg_attribute
                 where attrelid = c.oid and attnum > 0 and not attisdropped) as columns
    from pg_class c
    where c.relnamespace = current_schema()::regnamespace
      and c.relkind in ('r', 'p') and not c.relispartition
"""
_LIMITS: Final = """
    select count(*) filter (where to_jsonb(q) @> '{"paused": true}') as paused,
           count(*) filter (where to_jsonb(q) @> '{"limited": true}') as limited
    from queue q
"""


class Plan(msgspec.Struct, frozen=True):
    """What would go, a line each."""

    lines: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True):
    rows: int
    columns: frozenset[str]


class _Inventory(msgspec.Struct, frozen=True):
    tables: dict[str, _Table]
    paused: int
    limited: int


async def require_unused(connection: AsyncConnection) -> None:
    """Refuse while processes of ours use the database.

    Raises:
        StartError: naming them.
    """
    names = await connection.execute(text(_SESSIONS), {"ours": APPLICATION})
    using = list(names.scalars())
    has_workers = await connection.scalar(text("select to_regclass('worker') is not null"))
    if not using and has_workers and (count := await connection.scalar(text(_WORKERS))):
        using = [f"{count} workers that may come back until their leases end"]
    await connection.commit()
    if using:
        raise StartError(f"the database is in use by {', '.join(using)}: stop Windlass first")


async def what_goes(connection: AsyncConnection, go: Callable[[], Awaitable[None]]) -> Plan:
    """Compare before and after, in a transaction that is rolled back."""
    await connection.begin()
    try:
        before = await _inventory(connection)
        await go()
        after = await _inventory(connection)
    finally:
        await connection.rollback()
    return Plan(tuple(_differences(before, after)))


async def _inventory(connection: AsyncConnection) -> _Inventory:
    rows = (await connection.execute(text(_TABLES))).all()
    tables = {
        row.relname: _Table(
            row.own_rows if row.part_rows is None else row.part_rows, frozenset(row.columns)
        )
        for row in rows
    }
    paused = limited = 0
    if {"paused", "limited"} <= tables.get("queue", _Table(0, frozenset())).columns:
        paused, limited = (await connection.execute(text(_LIMITS))).one()
    return _Inventory(tables, paused, limited)


def _differences(before: _Inventory, after: _Inventory) -> list[str]:
    lines = []
    for name, table in sorted(before.tables.items()):
        left = after.tables.get(name)
        if left is None:
            lines.append(f"table {name}, about {max(0, table.rows):,} rows")
        elif gone := table.columns - left.columns:
            lines.append(f"of table {name} the columns {', '.join(sorted(gone))}")
    if before.paused and not after.paused:
        lines.append(f"the pauses of {before.paused:,} queues: their jobs run")
    if before.limited and not after.limited:
        lines.append(f"the limits of {before.limited:,} queues")
    return lines
