"""What handlers say while they run: a note beside the progress, and log lines."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# number: the line's place in its attempt, from 1.
TABLES = """
create table attempt_log (
  job_id uuid not null,
  attempt int not null,
  number int not null,
  user_id uuid not null,
  at timestamptz not null,
  line text not null,
  primary key (job_id, attempt, number)
) partition by range (job_id);

alter table lease add column progress_note text;
alter table attempt add column progress_note text;

alter table outbox drop constraint outbox_kind;
alter table outbox add constraint outbox_kind
  check (kind in ('changed', 'progress', 'logged', 'ended'));
"""

STATE = """
create view job_state as
  select job_id, user_id, 0::smallint as status, attempts, number, max_attempts, version, run_at,
         since, null::timestamptz as cancel_requested_at, null::real as progress,
         null::text as reason, null::text as progress_note from blocked
  union all
  select job_id, user_id, 1::smallint, attempts, number, max_attempts, version, run_at,
         since, null, null, null, null from scheduled
  union all
  select job_id, user_id, 2::smallint, attempts, number, max_attempts, version, run_at,
         since, null, null, null, null from gated
  union all
  select job_id, user_id, 2::smallint, attempts, number, max_attempts, version, run_at,
         since, null, null, null, null from ready
  union all
  select job_id, user_id, 3::smallint, attempts, number, max_attempts, version, run_at,
         since, cancel_requested_at, progress, null, progress_note from lease
  union all
  select job_id, user_id, status, attempts, number, max_attempts, version, run_at,
         since, cancel_requested_at, null, reason, null from finished where status in (4, 5, 6);
"""

# A day's log lines are a partition beside those of its jobs, and share their fate.
MAKE = """
create or replace function make_partitions(first date, last date) returns int language plpgsql as $$
declare
  parent text;
  day date;
  child text;
  made int := 0;
begin
  perform pg_advisory_xact_lock(hashtextextended('windlass.make_partitions', 0));
  foreach parent in array array['job', 'finished', 'attempt', 'attempt_log'] loop
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
"""
MAKE_BEFORE = MAKE.replace(", 'attempt_log'", "")

# Days that are there already; between them some may have been dropped.
CATCH_UP = """
select make_partitions(day, day)
from (
  select to_date(substr(relname, 5), 'YYYYMMDD') as day
  from pg_inherits
  join pg_class on oid = inhrelid
  where inhparent = 'job'::regclass
) days;
"""

DROP = """
create or replace function drop_empty_day(before date) returns boolean language plpgsql
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
    execute format('drop table %I, %I, %I, %I',
                   'job_' || day, 'finished_' || day, 'attempt_' || day, 'attempt_log_' || day);
    return true;
  end loop;
  return false;
end
$$;
"""

RETIRE = """
create or replace function retire_day(before date, kept interval, kept_failed interval, few int)
returns bigint language plpgsql
set lock_timeout = '100ms'
set work_mem = '64MB'
set client_min_messages = warning
set enable_seqscan = on
as $$
declare
  day text;
  over text := format('since < now() - case status when 5 then %L::interval else %L end',
                      kept_failed, kept);
  going bigint;
  staying bigint;
  found bigint;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('windlass.retire_day', 0)) then
    return null;
  end if;
  for day in
    select substr(relname, 5)
    from pg_inherits
    join pg_class on oid = inhrelid
    where inhparent = 'job'::regclass
      and relname < format('job_%s', to_char(before, 'YYYYMMDD'))
    order by relname
  loop
    execute format('select count(*) from (select from finished_%s where %s limit %s) first',
                   day, over, few) into going;
    continue when going < few;

    drop table if exists pg_temp.going, pg_temp.staying;
    execute format('create temporary table going on commit drop as
                    select job_id, user_id, flow_id, status from finished_%s where %s', day, over);
    get diagnostics going = row_count;
    -- What stays: the unfinished, and those whose time is not over.
    execute format('create temporary table staying on commit drop as
                    select id from job_%s j
                    where not exists (select from going where job_id = j.id)', day);
    get diagnostics staying = row_count;
    continue when staying > going;

    execute format('delete from idempotency i
                    using job_%s j
                    join going on job_id = j.id
                    where i.user_id = j.user_id and i.key = j.idempotency_key', day);
    insert into counter_delta (flow_id, user_id, succeeded, failed, canceled)
    select flow_id, user_id, -count(*) filter (where status = 4),
           -count(*) filter (where status = 5), -count(*) filter (where status = 6)
    from going
    group by flow_id, user_id;

    -- From here on nobody changes the day. Was anything changed before? Nothing can have become
    -- over, so equal numbers are equal rows.
    execute format('lock table job_%s, finished_%1$s, attempt_%1$s, attempt_log_%1$s
                    in share mode', day);
    execute format('select (select count(*) from finished_%s where %s)
                           + (select count(*) from job_%1$s)', day, over) into found;
    if found <> going + going + staying then
      raise exception 'the day % was changed while it was to be retired', day
        using errcode = 'serialization_failure';
    end if;

    execute format('create temporary table staying_log on commit drop as
                      select * from attempt_log_%s where job_id in (select id from staying);
                    create temporary table staying_job on commit drop as
                      select * from job_%1$s where id in (select id from staying);
                    create temporary table staying_finished on commit drop as
                      select * from finished_%1$s where job_id in (select id from staying);
                    create temporary table staying_attempt on commit drop as
                      select * from attempt_%1$s where job_id in (select id from staying)', day);
    -- Only now are readers kept out, for as long as putting back takes.
    execute format('truncate job_%s, finished_%1$s, attempt_%1$s, attempt_log_%1$s;
                    insert into attempt_log_%1$s select * from staying_log;
                    insert into job_%1$s select * from staying_job;
                    insert into finished_%1$s select * from staying_finished;
                    insert into attempt_%1$s select * from staying_attempt', day);
    return going;
  end loop;
  return 0;
end
$$;
"""
WITH_LOG = ", attempt_log_%1$s"
KEEP_LOG = """create temporary table staying_log on commit drop as
                      select * from attempt_log_%s where job_id in (select id from staying);
                    """
PUT_LOG_BACK = """insert into attempt_log_%1$s select * from staying_log;
                    """
DROP_LOG = ", 'attempt_log_' || day"
DROP_BEFORE = DROP.replace("%I, %I, %I, %I", "%I, %I, %I").replace(DROP_LOG, "")
RETIRE_BEFORE = RETIRE.replace(WITH_LOG, "").replace(KEEP_LOG, "").replace(PUT_LOG_BACK, "")

TABLES_BACK = """
drop table attempt_log;
alter table lease drop column progress_note;
alter table attempt drop column progress_note;

delete from feed where kind = 'logged';
delete from outbox where kind = 'logged';
alter table outbox drop constraint outbox_kind;
alter table outbox add constraint outbox_kind check (kind in ('changed', 'progress', 'ended'));
"""


def upgrade() -> None:
    op.execute("drop view job_state")
    for part in (TABLES, STATE, MAKE, CATCH_UP, DROP, RETIRE):
        _execute(part)


def downgrade() -> None:
    before = runpy.run_path(str(Path(__file__).with_name("0005_gates.py")))["STATE"]
    op.execute("drop view job_state")
    for part in (TABLES_BACK, before, MAKE_BEFORE, DROP_BEFORE, RETIRE_BEFORE):
        _execute(part)


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
