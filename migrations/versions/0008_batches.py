"""Batches know when their last job has ended."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UP = (
    # Its jobs are those between the first and the last, both included, that name it: others of the
    # same user may have been submitted at the same moment.
    """
    create table batch (
      id uuid primary key,
      user_id uuid not null references account (id) on delete cascade,
      total integer not null,
      first_job uuid not null,
      last_job uuid not null,
      waits_for uuid,
      created_at timestamptz not null default now(),
      finished_at timestamptz
    )
    """,
    "create index batch_by_user on batch (user_id, id desc)",
    "create index batch_unfinished on batch (user_id, id) where finished_at is null",
    "alter table outbox drop constraint outbox_kind",
    """
    alter table outbox add constraint outbox_kind
      check (kind in ('changed', 'progress', 'logged', 'ended', 'batch'))
    """,
)

DOWN = (
    "delete from outbox where kind = 'batch'",
    "delete from feed where kind = 'batch'",
    "alter table outbox drop constraint outbox_kind",
    """
    alter table outbox add constraint outbox_kind
      check (kind in ('changed', 'progress', 'logged', 'ended'))
    """,
    "drop table batch",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
