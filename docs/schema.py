"""Draws the tables: writes `docs/schema.md` from the metadata that the code uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from internal.adapters.postgres.schema import metadata

PAGE: Final = Path(__file__).with_name("schema.md")

INTRODUCTION: Final = """# The tables

`make schema` draws this page from `internal/adapters/postgres/schema/`, which a test compares
with the migrations. A solid line is a foreign key, a dotted one a reference that nothing enforces:
rows of jobs move too often for that. What moves them is in [the life of a job](job-lifecycle.md).
`job`, `finished` and `attempt` are partitioned by day.
"""

GROUPS: Final = {
    "Accounts": ("account", "session", "ticket", "login_failure", "tenant"),
    "Jobs as they were submitted": ("job", "batch", "idempotency", "queue", "flow", "expiry"),
    "Jobs that wait": ("blocked", "scheduled", "gated", "ready"),
    "Order": ("dependency", "dependency_note"),
    "Limits": ("lane", "bucket", "gate_note"),
    "Jobs that run or have run": (
        *("lease", "finished", "attempt", "attempt_log", "failure", "worker", "hold", "suspect"),
        "leader",
    ),
    "Jobs to come": ("schedule",),
    "Dead letters": ("replay", "past_payload", "operation", "operation_item"),
    "Numbers": ("counter", "counter_delta", "minute", "minute_wait"),
    "Changes": ("listener", "outbox", "feed"),
}

SHORT: Final = {"timestamp with time zone": "timestamptz", "double precision": "float8"}
POSTGRESQL: Final = postgresql.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy has it
# The user is left out: nearly every table names one.
REFERENCES: Final = {
    "batch_id": "batch",
    "child_id": "job",
    "flow_id": "flow",
    "job_id": "job",
    "lane_id": "lane",
    "operation_id": "operation",
    "parent_id": "job",
    "queue_id": "queue",
    "worker_id": "worker",
}


def page() -> str:
    """The whole page; raises ValueError for a table that no group has."""
    grouped = {name for names in GROUPS.values() for name in names}
    if missing := metadata.tables.keys() ^ grouped:
        raise ValueError(f"GROUPS in {__file__} differs from the metadata in {sorted(missing)}")
    sections = [
        f"## {title}\n\n```mermaid\n{_diagram(names)}\n```\n" for title, names in GROUPS.items()
    ]
    return "\n".join([INTRODUCTION, *sections])


def _diagram(names: tuple[str, ...]) -> str:
    tables = [metadata.tables[name] for name in names]
    lines = [line for table in tables for line in (*_box(table), *_arrows(table))]
    return "\n".join(["erDiagram", *(f"    {line}" for line in lines)])


def _box(table: Table) -> Iterator[str]:
    yield f"{table.name} {{"
    for column in table.columns:
        keys = ", ".join(["PK"] * column.primary_key + ["FK"] * bool(column.foreign_keys))
        note = '"may be null"' if column.nullable else ""
        yield " ".join(filter(None, ("   ", _type(column), column.name, keys, note)))
    yield "}"


def _arrows(table: Table) -> Iterator[str]:
    for column in table.columns:
        many = "o|" if list(table.primary_key) == [column] else "o{"
        for key in column.foreign_keys:
            yield f"{key.column.table.name} ||--{many} {table.name} : {column.name}"
        if not column.foreign_keys and column.name in REFERENCES:
            yield f"{REFERENCES[column.name]} ||..{many} {table.name} : {column.name}"


def _type(column: Column[Any]) -> str:
    written = column.type.compile(dialect=POSTGRESQL).lower()
    return SHORT.get(written, written)


if __name__ == "__main__":
    PAGE.write_text(page())
