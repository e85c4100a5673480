"""Runs revisions on the connection that the caller hands over (`windlass migrate`)."""

from __future__ import annotations

from alembic import context

from internal.adapters.postgres.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
