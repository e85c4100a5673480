"""Jobs that wait for other jobs."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# parents: how many jobs it waits for, as submitted. runs_anyway: also when one of them fails.
# dependency.status: null while the parent has not ended, else as in finished; only
# settle_dependencies changes it. canceled_by: the parent whose end canceled the job.
# replay.parent_id: of a job that rose again since that parent was retried, and not by hand.
# dependency_note: a job that ended, was retried or is blocked again: its children, and whether it
# may itself go on, are to be looked at.
TABLES = """
alter table job
  add column name text,
  add column parents smallint not null default 0,
  add column runs_anyway boolean not null default false;
alter table finished add column canceled_by uuid;
alter table replay add column parent_id uuid;

create table dependency (
  child_id uuid not null,
  parent_id uuid not null,
  user_id uuid not null,
  status smallint constraint dependency_status check (status between 4 and 6),
  primary key (child_id, parent_id)
);
create index dependency_by_parent on dependency (parent_id, status, child_id);
create index dependency_failed on dependency (child_id, parent_id) where status > 4;

create table dependency_note (
  id bigint generated always as identity primary key,
  job_id uuid not null,
  user_id uuid not null
) with (autovacuum_vacuum_scale_factor = 0.01);
create index dependency_note_by_job on dependency_note (job_id);
create index dependency_note_by_user on dependency_note (user_id, id);
"""

# Have the ends of these jobs of a user told: whoever ends one that is marked leaves a note. Each
# answers with those it did not meet, or that somebody is moving just now: others lock them in other
# orders, so nobody is waited for, and the caller looks again (ties.py). What stands in line or at a
# gate is put there anew: others take such rows by their places, which an update would change. Each
# is looked up by itself: for many at once the planner may read all of a user's.
AWAITING = """
create function await_places(owner uuid, parents uuid[]) returns uuid[] language plpgsql as $$
declare
  rest uuid[];
  met uuid[];
begin
  with b as materialized (
    select p.job_id
    from unnest(parents) as r(id)
    cross join lateral (
      select job_id from blocked
      where user_id = owner and job_id = r.id and awaited
      limit 1
    ) p
  ),
  s as materialized (
    select p.job_id
    from unnest(parents) as r(id)
    cross join lateral (
      select job_id from scheduled
      where user_id = owner and job_id = r.id and awaited
      limit 1
    ) p
  ),
  g as materialized (
    select p.job_id
    from unnest(parents) as r(id)
    cross join lateral (
      select job_id from gated
      where user_id = owner and job_id = r.id and awaited
      limit 1
    ) p
  ),
  l as materialized (
    select p.job_id
    from unnest(parents) as r(id)
    cross join lateral (
      select job_id from lease
      where user_id = owner and job_id = r.id and awaited
      limit 1
    ) p
  ),
  f as materialized (
    select p.job_id
    from unnest(parents) as r(id)
    cross join lateral (
      select job_id from finished
      where user_id = owner and status in (4, 5, 6) and job_id = r.id and awaited
      limit 1
    ) p
  )
  -- Marked already, by a transaction that has committed.
  select array(select unnest(parents) except (
    select job_id from b union all select job_id from s union all select job_id from g
    union all select job_id from l union all select job_id from f) order by 1)
  into rest;

  with b as (
    update blocked set awaited = true
    where ctid = any(array(
      select p.ctid
      from unnest(rest) as r(id)
      cross join lateral (
        select ctid from blocked where user_id = owner and job_id = r.id
        limit 1 for no key update skip locked
      ) p))
    returning job_id
  ),
  s as (
    update scheduled set awaited = true
    where ctid = any(array(
      select p.ctid
      from unnest(rest) as r(id)
      cross join lateral (
        select ctid from scheduled where user_id = owner and job_id = r.id
        limit 1 for no key update skip locked
      ) p))
    returning job_id
  ),
  taken as (
    delete from gated
    where ctid = any(array(
      select p.ctid
      from unnest(rest) as r(id)
      cross join lateral (
        select ctid from gated where user_id = owner and job_id = r.id
        limit 1 for update skip locked
      ) p))
    returning *
  ),
  g as (
    insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, since, lane_id, awaited, rank)
    select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
           version, run_at, since, lane_id, true, rank
    from taken
    returning job_id, lane_id
  ),
  gates as (
    -- who was about to let one through passes over it
    insert into gate_note (lane_id) select distinct lane_id from g
  ),
  l as (
    update lease set awaited = true
    where ctid = any(array(
      select p.ctid
      from unnest(rest) as r(id)
      cross join lateral (
        select ctid from lease where user_id = owner and job_id = r.id
        limit 1 for no key update skip locked
      ) p))
    returning job_id
  ),
  f as (
    update finished set awaited = true
    where ctid = any(array(
        select p.ctid
        from unnest(rest) as r(id)
        cross join lateral (
          select ctid from finished
          where user_id = owner and status in (4, 5, 6) and job_id = r.id
          limit 1 for no key update skip locked
        ) p))
      -- partitions number their places alike; in brackets, so that no index is used for it
      and (job_id = any(rest)) is true
    returning job_id
  )
  select array(select job_id from b union all select job_id from s union all select job_id from g
               union all select job_id from l union all select job_id from f)
  into met;
  return array(select unnest(rest) except select unnest(met) order by 1);
end
$$;

-- The same about those that stand in line, behind the lock on the tenant that keeps claims out.
create function await_queued(owner uuid, parents uuid[]) returns uuid[] language plpgsql as $$
declare
  met uuid[];
begin
  perform from tenant where user_id = owner for no key update;
  with held as materialized (
    select p.*
    from unnest(parents) as r(id)
    cross join lateral (
      select ctid as place, job_id, awaited from ready
      where user_id = owner and job_id = r.id
      limit 1 for update skip locked
    ) p
  ),
  taken as (
    delete from ready
    where ctid = any(array(select place from held where not awaited))
    returning *
  ),
  back as (
    insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, since, lane_id, awaited, rank)
    select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
           version, run_at, since, lane_id, true, rank
    from taken
  )
  select array(select job_id from held) into met;
  return array(select unnest(parents) except select unnest(met) order by 1);
end
$$;
"""

# Brings the children of jobs that were noted down into line with them: those of one user, `most` of
# them at a time; where more are left their parents are noted again, behind the others. It does
# nothing about users whom another process is at: that two parents of a child are looked at one
# after the other keeps it from being overlooked. A note need not say what happened to its job: the
# last one that is looked at sees how it stands.
#
# Each step has a look of its own: which dependencies change; locks on the children, before
# anything about them is changed, in the order in which others take them; the change; what follows.
SETTLING = """
create function settle_dependencies(
  most int, aging interval,
  out settled int, out queued boolean, out scheduled boolean, out gated boolean, out told boolean
) language plpgsql as $$
declare
  owner uuid;
  notes bigint[];
  noted uuid[];
  changed uuid[];
  reopened tid[];
  succeeded tid[];
  failed tid[];
  canceled tid[];
  standing uuid[];
  fallen uuid[];
begin
  settled := 0;
  for owner in
    with recursive noted as (
      (select user_id from dependency_note order by user_id limit 1)
      union all
      select (select user_id from dependency_note
              where user_id > n.user_id order by user_id limit 1)
      from noted n
      where n.user_id is not null
    )
    -- One with many notes, or with one that cannot be dealt with, keeps nobody else waiting.
    select user_id from noted where user_id is not null order by random()
  loop
    if not exists (select from account where id = owner) then
      delete from dependency_note where user_id = owner;
    else
      exit when pg_try_advisory_xact_lock(hashtextextended('windlass.settle ' || owner, 0));
    end if;
    owner := null;
  end loop;
  select array_agg(id), array_agg(distinct job_id)
  into notes, noted
  from (
    select id, job_id from dependency_note where user_id = owner order by id limit 1000
  ) first;
  if notes is null then
    return;
  end if;
  settled := cardinality(notes);

  select array_agg(child_id), array_agg(place) filter (where becomes is null),
         array_agg(place) filter (where becomes = 4), array_agg(place) filter (where becomes = 5),
         array_agg(place) filter (where becomes = 6)
  into changed, reopened, succeeded, failed, canceled
  from (
    select d.child_id, d.place, p.becomes
    from (
      select n.id, j.is_there, case when j.is_there then f.status else 6 end as becomes
      from unnest(noted) as n(id)
      left join lateral (select true as is_there from job where id = n.id limit 1) j on true
      left join lateral (
        select status from finished
        where user_id = owner and status in (4, 5, 6) and job_id = n.id
        limit 1
      ) f on true
    ) p
    cross join lateral (
      select child_id, ctid as place from dependency
      where parent_id = p.id and status is null and p.becomes is not null
      union all
      -- of a parent that is forgotten stays what was
      select child_id, ctid from dependency
      where parent_id = p.id and status > 4 and p.is_there and status is distinct from p.becomes
      limit most
    ) d
    limit most
  ) each;

  standing := array(
    select p.job_id
    from (select distinct unnest(changed || noted) as id order by 1) r
    -- each by itself: else the planner may read all of a user's for their order
    cross join lateral (
      select job_id from blocked where user_id = owner and job_id = r.id limit 1 for update
    ) p);
  fallen := array(
    select p.job_id
    from (select distinct unnest(changed) as id order by 1) r
    cross join lateral (
      select job_id from finished
      where user_id = owner and status = 6 and job_id = r.id and canceled_by is not null
      limit 1
      for update
    ) p);
  -- By their places, as in claim.sql: nobody else updates them.
  update dependency set status = null where ctid = any(reopened) and parent_id = any(noted);
  update dependency set status = 4 where ctid = any(succeeded) and parent_id = any(noted);
  update dependency set status = 5 where ctid = any(failed) and parent_id = any(noted);
  update dependency set status = 6 where ctid = any(canceled) and parent_id = any(noted);
  select * into queued, scheduled, gated, told from move_children(owner, standing, fallen, aging);

  delete from dependency_note where id = any(notes);
  if cardinality(changed) = most then
    insert into dependency_note (job_id, user_id) select id, owner from unnest(noted) as id;
  end if;
end
$$;

-- Moves on those of a user's jobs that may: `standing` are blocked, `fallen` were canceled by the
-- end of a parent; all are locked.
create function move_children(
  owner uuid, standing uuid[], fallen uuid[], aging interval,
  out queued boolean, out scheduled boolean, out gated boolean, out told boolean
) language plpgsql as $$
begin
  with looked as materialized (
    select c.id, j.concurrency_key, j.rate_key, coalesce(o.is_open, false) as is_open,
           case when not j.runs_anyway then f.parent_id end as fails_by, f.status as fails_as
    from unnest(standing || fallen) as c(id)
    -- limit 1: else the planner may make joins of them that read whole tables
    cross join lateral (
      select concurrency_key, rate_key, runs_anyway from job
      where id = c.id and user_id = owner
      limit 1
    ) j
    left join lateral (
      select true as is_open from dependency where child_id = c.id and status is null limit 1
    ) o on true
    left join lateral (
      select parent_id, status from dependency
      where child_id = c.id and status > 4
      order by parent_id
      limit 1
    ) f on true
  ),
  freed as (
    delete from blocked
    where ctid = any(array(
      select p.ctid
      from (select * from looked where fails_by is not null or not is_open) r
      cross join lateral (
        select ctid from blocked where user_id = owner and job_id = r.id limit 1
      ) p))
    returning *
  ),
  risen as (
    delete from finished
    where ctid = any(array(
        select p.ctid
        from (select id from looked where fails_by is null) r
        cross join lateral (
          select ctid from finished
          where user_id = owner and status = 6 and job_id = r.id
          limit 1
        ) p))
      and (job_id = any(fallen)) is true
    returning *
  ),
  replayed as (
    insert into replay (job_id, user_id, from_status, after_attempt, parent_id)
    select job_id, owner, status, number, canceled_by from risen
  ),
  moved as materialized (
    select m.*, l.concurrency_key, l.rate_key, l.fails_by, l.fails_as,
           case when l.fails_by is not null then 6
                when l.is_open then 0
                -- not now(): it may be submitted since this transaction began
                when m.run_at > clock_timestamp() then 1
                else 2 end as goes
    from (
      select job_id, flow_id, priority, attempts, number, max_attempts, version + 1 as version,
             run_at, awaited, 0 as was
      from freed
      union all
      select job_id, flow_id, priority, attempts, number,
             greatest(max_attempts, attempts + 1), version + 1, run_at, awaited, 6
      from risen
    ) m
    full join looked l on l.id = m.job_id -- hashed, as in claim.sql
    where coalesce(m.version, 0) > 0
  ),
  limited as materialized (
    select id
    from flow
    where id = any(array(select distinct flow_id from moved where goes in (1, 2)))
      and limited
  ),
  lanes as materialized (
    -- in one order: those who make the same lanes wait for each other
    select *, lane_of(flow_id, concurrency_key, rate_key) as lane_id
    from (
      select distinct flow_id, coalesce(concurrency_key, '') as concurrency_key,
             coalesce(rate_key, '') as rate_key
      from moved
      where goes in (1, 2)
        and (concurrency_key is not null or rate_key is not null
             or flow_id = any(array(select id from limited)))
      order by 1, 2, 3
    ) wanted
  ),
  lined as materialized (
    select m.*, l.lane_id, greatest(m.run_at, now()) as due
    from (select * from moved where goes in (1, 2)) m
    left join lanes l
      on l.flow_id = m.flow_id
      and l.concurrency_key = coalesce(m.concurrency_key, '')
      and l.rate_key = coalesce(m.rate_key, '')
  ),
  done as (
    insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                          version, run_at, awaited, status, reason, canceled_by)
    select job_id, owner, flow_id, priority, attempts, number, max_attempts,
           version, run_at, awaited, 6,
           format('dependency %s %s', fails_by,
                  case fails_as when 5 then 'failed' else 'was canceled' end),
           fails_by
    from moved
    where goes = 6
  ),
  back as (
    insert into blocked (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                         version, run_at, awaited)
    select job_id, owner, flow_id, priority, attempts, number, max_attempts,
           version, run_at, awaited
    from moved
    where goes = 0
  ),
  waiting as (
    insert into scheduled (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                           version, run_at, lane_id, awaited)
    select job_id, owner, flow_id, priority, attempts, number, max_attempts,
           version, run_at, lane_id, awaited
    from lined
    where goes = 1
  ),
  lining as (
    insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, awaited, rank)
    select job_id, owner, flow_id, priority, attempts, number, max_attempts,
           version, due, awaited, due + priority * aging
    from lined
    where goes = 2 and lane_id is null
  ),
  held as (
    insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, lane_id, awaited, rank)
    select job_id, owner, flow_id, priority, attempts, number, max_attempts,
           version, due, lane_id, awaited, due + priority * aging
    from lined
    where goes = 2 and lane_id is not null
  ),
  gates as (
    insert into gate_note (lane_id)
    select distinct lane_id from lined where goes = 2 and lane_id is not null
  ),
  expiring as (
    -- of one that has risen, the time may have come while it was canceled
    insert into expiry (job_id, user_id, at)
    select m.job_id, owner, j.expires_at
    from moved m
    cross join lateral (
      select expires_at from job where id = m.job_id and user_id = owner limit 1
    ) j
    where m.was = 6 and j.expires_at is not null
    on conflict do nothing
  ),
  below as (
    -- what was canceled cancels, what has risen raises
    insert into dependency_note (job_id, user_id)
    select job_id, owner from moved where awaited and (goes = 6 or was = 6)
  ),
  counted as (
    insert into counter_delta (flow_id, user_id, blocked, scheduled, queued, canceled)
    select flow_id, owner,
           count(*) filter (where goes = 0) - count(*) filter (where was = 0),
           count(*) filter (where goes = 1), count(*) filter (where goes = 2),
           count(*) filter (where goes = 6) - count(*) filter (where was = 6)
    from moved
    group by flow_id
  ),
  tellings as (
    -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
    insert into outbox (user_id, ids)
    select owner, case when count(*) <= 100 then array_agg(job_id) end
    from moved
    having count(*) > 0 and (select true from listener where user_id = owner)
    returning id
  )
  select exists (select from lined where goes = 2 and lane_id is null),
         exists (select from lined where goes = 1),
         exists (select from lined where goes = 2 and lane_id is not null),
         exists (select from tellings)
  into queued, scheduled, gated, told;
end
$$;
"""

# What a handler learns about the jobs that its own waited for; results up to `budget` bytes, of the
# others that they are left out.
READING = """
create function parents_of(children uuid[], budget bigint)
returns table (child_id uuid, parent_id uuid, name text, type text, status smallint,
               result text, is_left_out boolean)
language plpgsql stable as $$
begin
  for child_id, parent_id, name, type, status in
    select d.child_id, d.parent_id, j.name, j.type, d.status
    from unnest(children) as c(id)
    -- limits: else the planner may make joins of them that read whole tables
    cross join lateral (select e.* from dependency e where e.child_id = c.id limit 10000) d
    cross join lateral (select job.name, job.type from job where job.id = d.parent_id limit 1) j
    order by d.child_id, d.parent_id
  loop
    result := null;
    if status = 4 and budget > 0 then
      select a.result::text into result
      from attempt a where a.job_id = parents_of.parent_id order by a.number desc limit 1;
      budget := budget - coalesce(octet_length(result), 0);
    end if;
    is_left_out := coalesce(status = 4 and budget <= 0, false);
    if is_left_out then
      result := null;
    end if;
    return next;
  end loop;
end
$$;

-- Whether a job's result, or its end, still means something to a child.
create function is_needed(owner uuid, parent uuid) returns boolean language sql stable as $$
  select (
    select true from dependency d
    where d.parent_id = parent
      and (select true from finished f
           where f.user_id = owner and f.status in (4, 5, 6) and f.job_id = d.child_id
           limit 1) is null
    -- a value: as `exists` it may be hashed, of all dependencies there are
    limit 1) is not null
$$;
"""

# Of retire_day: what a child still needs is not over, and dependencies go with their jobs.
OVER = "%L::interval else %L end"
STILL_NEEDED = """
                       and not (awaited and is_needed(user_id, job_id))"""
BESIDE_KEYS = "    execute format('delete from idempotency i"
FORGOTTEN = """    delete from dependency where child_id in (select job_id from going);
    delete from dependency where parent_id in (select job_id from going);
"""
RETIRE = "retire_day(date, interval, interval, int)"

# Blocked jobs have no place in the tables before: made due, they would run ahead of their parents.
UNBLOCKED = """
do $$
begin
  if exists (select from blocked) then
    raise exception 'jobs wait for other jobs: let these end, or cancel them, before going back';
  end if;
end
$$;
"""
BACK = """
drop function await_places, await_queued, settle_dependencies, move_children,
              parents_of, is_needed;
drop table dependency, dependency_note;
delete from replay where parent_id is not null;
alter table replay drop column parent_id;
alter table finished drop column canceled_by;
alter table job drop column name, drop column parents, drop column runs_anyway;
"""


def upgrade() -> None:
    for part in (TABLES, AWAITING, SETTLING, READING):
        _execute(part)
    _change(RETIRE, OVER, OVER + STILL_NEEDED)
    _change(RETIRE, BESIDE_KEYS, FORGOTTEN + BESIDE_KEYS)


def downgrade() -> None:
    _execute(UNBLOCKED)
    _change(RETIRE, STILL_NEEDED, "")
    _change(RETIRE, FORGOTTEN, "")
    _execute(BACK)


def _change(function: str, before: str, after: str) -> None:
    """Make a function anew with a part of its text changed, whoever else has changed it, too."""
    connection = op.get_bind()
    query = f"select pg_get_functiondef('{function}'::regprocedure)"
    text = connection.exec_driver_sql(query).scalar_one()
    if text.count(before) != 1:
        raise RuntimeError(f"{function} is not as this migration knows it")
    connection.exec_driver_sql(text.replace(before, after))


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
