"""Schedules: jobs that are submitted again and again."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# next_run_at: the first slot that has not been dealt with; null while paused, and when none comes.
# held_until: when a slot for which its user had no room is tried again.
# anchor: what every_ms counts from. job: the submission as JSON, its payload as it was sent.
UP = (
    """
    create table schedule (
      id uuid primary key,
      user_id uuid not null references account on delete cascade,
      name text not null,
      cron text,
      every_ms bigint,
      timezone text not null,
      anchor timestamptz not null,
      missed text not null,
      paused boolean not null,
      job text not null,
      next_run_at timestamptz,
      held_until timestamptz,
      last_run_at timestamptz,
      last_job_id uuid,
      last_error text,
      created_at timestamptz not null,
      updated_at timestamptz not null,
      constraint schedule_name unique (user_id, name),
      constraint schedule_timing check ((cron is null) <> (every_ms is null)),
      constraint schedule_missed check (missed in ('skip', 'once', 'all')),
      constraint schedule_paused check (not paused or next_run_at is null),
      constraint schedule_held check (held_until is null or next_run_at is not null)
    )
    """,
    """
    create index schedule_due on schedule (next_run_at)
      where next_run_at is not null and held_until is null
    """,
    "create index schedule_held on schedule (held_until) where held_until is not null",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table schedule")
