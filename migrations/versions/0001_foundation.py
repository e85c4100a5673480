"""Accounts, jobs by state, history, counters and the feed."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ACCOUNTS = """
create table account (
  id uuid primary key,
  email text not null,
  email_key text not null constraint account_email unique,
  password_hash text not null,
  role text not null default 'user' constraint account_role check (role in ('user', 'admin')),
  created_at timestamptz not null default now()
);

create table session (
  id uuid primary key,
  user_id uuid not null references account on delete cascade,
  generation int not null default 1,
  rotated_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz,
  created_at timestamptz not null default now()
);
create index session_by_user on session (user_id);
create index session_by_expiry on session (expires_at);

create table ticket (
  hash bytea primary key,
  user_id uuid not null references account on delete cascade,
  session_id uuid not null references session on delete cascade,
  token_expires_at timestamptz not null,
  expires_at timestamptz not null
);

create table login_failure (
  id bigint generated always as identity primary key,
  email_key text not null,
  address text not null,
  at timestamptz not null default clock_timestamp()
);
create index login_failure_by_source on login_failure (email_key, address, at);
create index login_failure_by_time on login_failure (at);

create table tenant (
  user_id uuid primary key references account on delete cascade,
  virtual_time float8 not null default 0,
  weight float8 not null default 1 constraint tenant_weight check (weight > 0)
) with (fillfactor = 50);

create table flow (
  id int generated always as identity primary key,
  user_id uuid not null references account on delete cascade,
  queue text not null,
  route text not null,
  constraint flow_name unique (user_id, queue, route)
);
create index flow_by_route on flow (route);
"""

# The narrow row that a job is while it waits, runs or is done, besides what a state adds.
# number: starts so far; attempts: those that failed or were lost; run_at: when it is or was due.
PLACE = """
  job_id uuid not null,
  user_id uuid not null,
  flow_id int not null,
  priority smallint not null,
  attempts int not null,
  number int not null,
  max_attempts int not null,
  version int not null,
  run_at timestamptz not null,
  since timestamptz not null default now(),
"""

JOBS = f"""
create table job (
  id uuid primary key,
  user_id uuid not null,
  type text not null,
  queue text not null,
  route text not null,
  priority smallint not null constraint job_priority check (priority between 0 and 2),
  payload json not null,
  max_attempts smallint not null,
  backoff_strategy text not null,
  backoff_base_ms bigint not null,
  backoff_max_ms bigint not null,
  backoff_jitter float8 not null,
  timeout_ms int not null,
  idempotency_key text,
  tags text[] not null,
  batch_id uuid,
  created_at timestamptz not null default now()
) partition by range (id);
create index job_by_user on job (user_id, id desc);

create table idempotency (
  user_id uuid not null,
  key text not null,
  request_hash bytea not null,
  job_id uuid not null,
  primary key (user_id, key)
);

create table blocked ({PLACE}
  primary key (user_id, job_id)
) with (autovacuum_vacuum_scale_factor = 0.01);

create table scheduled ({PLACE}
  primary key (user_id, job_id)
) with (autovacuum_vacuum_scale_factor = 0.01);
create index scheduled_by_time on scheduled (run_at);

create table ready ({PLACE}
  rank timestamptz not null,
  primary key (user_id, job_id)
) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01);
create index ready_by_rank on ready (flow_id, rank, job_id);

create table lease ({PLACE}
  token bigint not null,
  worker_id text not null,
  cancel_requested_at timestamptz,
  progress real,
  primary key (user_id, job_id),
  constraint lease_job unique (job_id),
  constraint lease_attempts check (attempts < max_attempts)
) with (autovacuum_vacuum_scale_factor = 0.01);
create index lease_by_worker on lease (worker_id);

create table finished ({PLACE}
  status smallint not null constraint finished_status check (status between 4 and 6),
  cancel_requested_at timestamptz,
  primary key (job_id),
  constraint finished_attempts check (attempts <= max_attempts)
) partition by range (job_id);
create index finished_by_status on finished (user_id, status, job_id desc);

create table attempt (
  job_id uuid not null,
  number int not null,
  user_id uuid not null,
  status smallint not null constraint attempt_status check (status between 1 and 6),
  worker_id text not null,
  error text,
  result json,
  progress real,
  started_at timestamptz not null,
  finished_at timestamptz not null,
  primary key (job_id, number)
) partition by range (job_id);

create table worker (
  id text primary key,
  slots int not null,
  started_at timestamptz not null default now(),
  expires_at timestamptz not null
) with (fillfactor = 50);
"""

# Every job's place, whichever table it stands in; status is numbered as in finished.
STATE = """
create view job_state as
  select job_id, user_id, 0::smallint as status, attempts, number, max_attempts, version, run_at,
         since, null::timestamptz as cancel_requested_at, null::real as progress from blocked
  union all
  select job_id, user_id, 1::smallint, attempts, number, max_attempts, version, run_at,
         since, null, null from scheduled
  union all
  select job_id, user_id, 2::smallint, attempts, number, max_attempts, version, run_at,
         since, null, null from ready
  union all
  select job_id, user_id, 3::smallint, attempts, number, max_attempts, version, run_at,
         since, cancel_requested_at, progress from lease
  union all
  select job_id, user_id, status, attempts, number, max_attempts, version, run_at,
         since, cancel_requested_at, null from finished;
"""

# One partition a day on the day that a UUID v7 carries in its first 48 bits, in milliseconds.
# Attaching takes a weaker lock than CREATE TABLE ... PARTITION OF, so traffic goes on meanwhile.
PARTITIONS = """
create function day_floor(day date) returns uuid immutable strict language sql as $$
  select (lpad(to_hex((extract(epoch from day at time zone 'UTC') * 1000)::bigint), 12, '0')
          || repeat('0', 20))::uuid
$$;

create function make_partitions(first date, last date) returns int language plpgsql as $$
declare
  parent text;
  day date;
  child text;
  made int := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('windlass.make_partitions', 0));
  foreach parent in array array['job', 'finished', 'attempt'] loop
    for day in select generate_series(first, last, interval '1 day')::date loop
      child := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
      if to_regclass(child) is null then
        execute format('create table %I (like %I including all)', child, parent);
        execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                       parent, child, day_floor(day), day_floor(day + 1));
        made := made + 1;
      end if;
    end loop;
  end loop;
  return made;
end
$$;

-- Drops the oldest day that has no jobs any more; false when there is none. Its lock holds up
-- everybody: whoever calls tries again rather than wait for it.
create function drop_empty_day(before date) returns boolean language plpgsql
set lock_timeout = '100ms' as $$
declare
  day text;
  used boolean;
begin
  for day in
    select substr(relname, 5)
    from pg_inherits
    join pg_class on oid = inhrelid
    where inhparent = 'job'::regclass
      and relname < format('job_%s', to_char(before, 'YYYYMMDD'))
    order by relname
  loop
    execute format('select exists (select from %I)', 'job_' || day) into used;
    continue when used;
    -- A process whose clock is days behind may just have put a job there: look again, alone.
    execute format('lock table %I in access exclusive mode', 'job_' || day);
    execute format('select exists (select from %I)', 'job_' || day) into used;
    continue when used;
    execute format('drop table %I, %I, %I', 'job_' || day, 'finished_' || day, 'attempt_' || day);
    return true;
  end loop;
  return false;
end
$$;

select make_partitions(
  (now() at time zone 'UTC')::date - 1, (now() at time zone 'UTC')::date + 14);
"""

COUNTERS = """
create table counter (
  flow_id int primary key references flow on delete cascade,
  user_id uuid not null,
  blocked bigint not null default 0,
  scheduled bigint not null default 0,
  queued bigint not null default 0,
  running bigint not null default 0,
  succeeded bigint not null default 0,
  failed bigint not null default 0,
  canceled bigint not null default 0
) with (fillfactor = 50);
create index counter_by_user on counter (user_id);

create table counter_delta (
  id bigint generated always as identity primary key,
  flow_id int not null,
  user_id uuid not null,
  at timestamptz not null default now(),
  blocked int not null default 0,
  scheduled int not null default 0,
  queued int not null default 0,
  running int not null default 0,
  succeeded int not null default 0,
  failed int not null default 0,
  canceled int not null default 0,
  waits smallint[]
) with (autovacuum_vacuum_scale_factor = 0.01);
create index counter_delta_by_user on counter_delta (user_id);

create table minute (
  user_id uuid not null,
  at timestamptz not null,
  succeeded int not null,
  failed int not null,
  primary key (user_id, at)
) with (fillfactor = 50);

create table minute_wait (
  user_id uuid not null,
  at timestamptz not null,
  bucket smallint not null,
  jobs int not null,
  primary key (user_id, at, bucket)
) with (fillfactor = 50);
"""

# The ids are those of jobs; of the session where kind is `ended`.
FEED = """
create table outbox (
  id bigint generated always as identity primary key,
  user_id uuid not null,
  kind text not null default 'changed'
    constraint outbox_kind check (kind in ('changed', 'progress', 'resync', 'ended')),
  ids uuid[] not null default '{}'
) with (autovacuum_vacuum_scale_factor = 0.01);

create table feed (
  position bigint generated always as identity primary key,
  user_id uuid not null,
  kind text not null,
  ids uuid[] not null,
  at timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.01);
"""

TABLES = (
    "feed, outbox, minute_wait, minute, counter_delta, counter, worker, attempt, finished, lease,"
    " ready, scheduled, blocked, idempotency, job, flow, tenant, login_failure, ticket, session,"
    " account"
)


def upgrade() -> None:
    for part in (ACCOUNTS, JOBS, STATE, PARTITIONS, COUNTERS, FEED):
        _execute(part)


def downgrade() -> None:
    op.execute("drop view job_state")
    op.execute(f"drop table {TABLES}")
    op.execute("drop function drop_empty_day, make_partitions, day_floor")


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
