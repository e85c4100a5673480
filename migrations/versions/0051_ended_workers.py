"""Recording that a worker process has ended, and which jobs did it."""

from __future__ import annotations

from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        alter table worker
          add column end_known boolean not null default false,
          add column blamed uuid[] not null default '{}'
        """
    )


def downgrade() -> None:
    op.execute("alter table worker drop column end_known, drop column blamed")
