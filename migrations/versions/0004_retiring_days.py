"""Old days are retired as a whole."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Retires the oldest day before `before` of which many jobs are over and no more have to stay: its
# tables get new files that hold only what stays. The answer: how many jobs it forgot; 0 when no day
# is worth it, null when another process is at it. Raises when somebody uses the day or has changed
# it meanwhile: whoever calls tries again. `few` are left to prune.sql.
RETIRE = """
create function retire_day(before date, kept interval, kept_failed interval, few int)
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
    execute format('lock table job_%s, finished_%1$s, attempt_%1$s in share mode', day);
    execute format('select (select count(*) from finished_%s where %s)
                           + (select count(*) from job_%1$s)', day, over) into found;
    if found <> going + going + staying then
      raise exception 'the day % was changed while it was to be retired', day
        using errcode = 'serialization_failure';
    end if;

    execute format('create temporary table staying_job on commit drop as
                      select * from job_%s where id in (select id from staying);
                    create temporary table staying_finished on commit drop as
                      select * from finished_%1$s where job_id in (select id from staying);
                    create temporary table staying_attempt on commit drop as
                      select * from attempt_%1$s where job_id in (select id from staying)', day);
    -- Only now are readers kept out, for as long as putting back takes.
    execute format('truncate job_%s, finished_%1$s, attempt_%1$s;
                    insert into job_%1$s select * from staying_job;
                    insert into finished_%1$s select * from staying_finished;
                    insert into attempt_%1$s select * from staying_attempt', day);
    return going;
  end loop;
  return 0;
end
$$
"""


def upgrade() -> None:
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(RETIRE))


def downgrade() -> None:
    op.execute("drop function retire_day")
