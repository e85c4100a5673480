"""Electing the process that does the periodic tasks."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        create table leader (
          name text primary key,
          holder text not null,
          expires_at timestamptz not null,
          session int
        )
        """
    )


def downgrade() -> None:
    op.execute("drop table leader")
