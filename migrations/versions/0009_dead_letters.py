"""Dead letters: failures in groups, edited payloads, replays, and operations on many jobs."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# fingerprint: of the type and the normalised error (domain/failures.py); null unless the job failed
# for good, and for those that failed before there was this column.
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
    )
    """,
    "create index failure_by_time on failure (noted_at)",
)

# A row of replay is a retry by hand. One of past_payload is what a job had for its input until it
# was edited first after that attempt: attempt 0, or else the lowest, has what was submitted.
REPLAYS = (
    """
    create table replay (
      job_id uuid not null,
      id bigint generated always as identity,
      user_id uuid not null,
      at timestamptz not null default now(),
      from_status smallint not null constraint replay_from_status check (from_status in (5, 6)),
      after_attempt int not null,
      operation_id uuid,
      primary key (job_id, id)
    )
    """,
    """
    create table past_payload (
      job_id uuid not null,
      attempt int not null,
      user_id uuid not null,
      payload json not null,
      replaced_at timestamptz not null default now(),
      primary key (job_id, attempt)
    )
    """,
)

# operation_item: the jobs that an operation has still to deal with, noted when it was made. Its
# operation is no foreign key, which would be looked up for each of a million rows.
OPERATIONS = (
    """
    create table operation (
      id uuid primary key,
      user_id uuid not null references account on delete cascade,
      action text not null
        constraint operation_action check (action in ('retry', 'cancel', 'delete')),
      status text not null
        constraint operation_status check (status in ('running', 'done', 'stopped')),
      per_second int not null,
      matched int not null,
      eligible int not null,
      done int not null default 0,
      skipped jsonb not null,
      next_at timestamptz not null default now(),
      created_at timestamptz not null default now(),
      finished_at timestamptz
    ) with (fillfactor = 50)
    """,
    "create index operation_by_user on operation (user_id, id desc)",
    "create index operation_due on operation (next_at) where status = 'running'",
    """
    create table operation_item (
      operation_id uuid not null,
      job_id uuid not null,
      primary key (operation_id, job_id)
    )
    """,
)

# What retire_day forgets with the jobs of a day, beside their keys.
BESIDE_KEYS = "    execute format('delete from idempotency i"
FORGOTTEN = """    delete from replay where job_id in (select job_id from going);
    delete from past_payload where job_id in (select job_id from going);
"""

BACK = (
    "drop table operation_item, operation, past_payload, replay, failure",
    "alter table finished drop column fingerprint",
)


def upgrade() -> None:
    for statement in (*FAILURES, *REPLAYS, *OPERATIONS):
        op.execute(statement)
    _change("retire_day(date, interval, interval, int)", BESIDE_KEYS, FORGOTTEN + BESIDE_KEYS)


def downgrade() -> None:
    _change("retire_day(date, interval, interval, int)", FORGOTTEN, "")
    for statement in BACK:
        op.execute(statement)


def _change(function: str, before: str, after: str) -> None:
    """Make a function anew with a part of its text changed, whoever else has changed it, too."""
    connection = op.get_bind()
    query = f"select pg_get_functiondef('{function}'::regprocedure)"
    text = connection.exec_driver_sql(query).scalar_one()
    if text.count(before) != 1:
        raise RuntimeError(f"{function} is not as this migration knows it")
    connection.exec_driver_sql(text.replace(before, after))
