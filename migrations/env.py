"""Runs revisions on the connection that the caller hands over (`windlass migrate`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import text

from internal.adapters.postgres.revision import VERSION_TABLE
from internal.adapters.postgres.schema import metadata

connection = context.config.attributes["connection"]


def oldest_served(revision: str) -> str:
    """The oldest revision whose releases can use the tables at this one."""
    script = context.script.get_revision(revision)
    while getattr(script.module, "ADDITIVE", False) and isinstance(script.down_revision, str):
        script = context.script.get_revision(script.down_revision)
    return script.revision


def note_served(
    ctx: MigrationContext,  # noqa: ARG001 - Alembic calls this by these names
    step: MigrationInfo,  # noqa: ARG001
    heads: Collection[Any],
    run_args: Mapping[str, Any],  # noqa: ARG001
) -> None:
    """Write it beside the version, in the transaction of the step."""
    for head in heads:
        served = {"served": oldest_served(head)}
        connection.execute(text(f"update {VERSION_TABLE} set serves = :served"), served)  # noqa: S608


context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=True,
    version_table=VERSION_TABLE,
    on_version_apply=note_served,
)
with context.begin_transaction():
    context.run_migrations()
