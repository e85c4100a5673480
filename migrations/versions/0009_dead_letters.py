"""Dead letters: failures in groups."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# fingerprint: of the type and the normalised error (domain/failures.py); null unless the job failed
# for good, and for those that failed before there was this column. noted_at keeps the text of a
# group from being swept away between its note and the end that it was noted for.
FAILURES = (
    "alter table finished add column fingerprint bigint",
    """
    create index finished_by_failure on finished (user_id, fingerprint, job_id) include (since)
      where status = 5
    """,
    """
    create table failure (
      user_id uuid not null,
      fingerprint bigint not null,
      type text not null,
      message text not null,
      noted_at timestamptz not null default now(),
      primary key (user_id, fingerprint)
    ) with (fillfactor = 50)
    """,
)

BACK = (
    "drop table failure",
    "alter table finished drop column fingerprint",
)


def upgrade() -> None:
    for statement in FAILURES:
        op.execute(statement)


def downgrade() -> None:
    for statement in BACK:
        op.execute(statement)
