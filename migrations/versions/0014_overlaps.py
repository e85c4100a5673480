"""What becomes of a schedule's slot while the job of an earlier one has not ended."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        alter table schedule
          add column overlap text not null default 'queue',
          add constraint schedule_overlap check (overlap in ('queue', 'skip'))
    """)


def downgrade() -> None:
    op.execute("alter table schedule drop column overlap")
