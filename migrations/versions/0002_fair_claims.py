"""Turns between users and queues, slimmer leases and ends, what a worker tells of itself."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# virtual_time: start-time fair queueing, in seconds of slot time by weight (domain/fairness.py).
# awake: of a flow, that it may hold queued jobs; of a user, that such a flow may be served by a
# worker. Claims look at nobody else. drained: the last claim took the user's last queued job.
# low: no queued job of the flow has a lower rank, so whoever looks for the first one begins there
# and not among the dead rows of those that were served.
# turn: jobs served so far, as compared with the user's other queues. cost: the running average of
# the slot time of a job, in seconds.
TURNS = """
-- Beyond these weights a user's virtual time and another's no longer add up in one float8, and NaN
-- and infinity must not get in.
update tenant set weight = least(greatest(weight, 0.01), 100);
alter table tenant
  drop constraint tenant_weight,
  add constraint tenant_weight check (weight between 0.01 and 100),
  add column awake boolean not null default false,
  add column drained boolean not null default true;
create index tenant_in_line on tenant (awake, virtual_time);

alter table flow
  add column awake boolean not null default false,
  add column low timestamptz not null default '-infinity',
  add column turn float8 not null default 0,
  add column cost float8 not null default 0.01;
alter table flow set (fillfactor = 50);
create index flow_in_line on flow (user_id, turn) where awake;
create index flow_awake on flow (route) where awake;
drop index flow_by_route;

update flow set awake = true where id in (select flow_id from ready);
update tenant set awake = true, drained = false
where user_id in (select user_id from flow where awake);
"""

# An index less on each of the tables that every job passes. charge: what the claim took as the
# job's cost.
PLACES = """
alter table lease
  add column charge real not null default 0,
  drop constraint lease_pkey,
  drop constraint lease_job,
  add primary key (job_id);
drop index lease_by_worker;
create index lease_to_stop on lease (worker_id) where cancel_requested_at is not null;

drop index finished_by_status;
alter table finished drop constraint finished_pkey;
alter table finished add primary key (user_id, status, job_id);

-- In seconds of slot time.
alter table counter_delta
  add column used float8 not null default 0,
  add column charged float8 not null default 0;

alter table worker
  add column routes text[] not null default '{}',
  add column running int not null default 0,
  add column lag_ms int not null default 0;
"""

# Saying which statuses there are lets look-ups by user and job use the whole key of finished.
STATE = """
create or replace view job_state as
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
         since, cancel_requested_at, null from finished where status in (4, 5, 6);
"""

# Locks are always taken on tenants before their flows, as claims and the folding of costs do.
WAKING = """
-- Whoever puts jobs in line wakes their flows and users. A flow that is awake is held that way
-- until the commit: KEY SHARE keeps out tend_flows, which takes FOR UPDATE, and nobody else.
create function wake_flows() returns trigger language plpgsql as $$
declare
  flows int[];
  firsts timestamptz[];
  stale int[];
  idle uuid[];
begin
  select array_agg(flow_id), array_agg(first) into flows, firsts
  from (select flow_id, min(rank) as first from arrived group by flow_id) each;
  if flows is null then
    return null; -- most flushes put no job back in line
  end if;
  select array_agg(id), array_agg(first) into stale, firsts
  from (select id, awake, low from flow where id = any(flows) order by id for key share) held
  full join unnest(flows, firsts) as a(id, first) using (id) -- hashed, as in claim.sql
  where coalesce(not awake or low > first, false);
  if stale is not null then
    idle := array(
      select user_id from tenant
      where user_id in (select user_id from flow where id = any(stale))
      order by user_id
      for no key update);
    update flow
    set awake = true,
        low = least(low, first),
        turn = case when awake then turn
                    else greatest(turn, (select min(o.turn) from flow o
                                         where o.user_id = flow.user_id and o.awake)) end
    from unnest(stale, firsts) as s(id, first)
    where flow.id = s.id;
  end if;
  -- Idleness earns no credit, however short. A tenant that a claim holds is being served.
  idle := idle || array(
    select user_id from tenant
    where user_id in (select user_id from arrived) and awake and drained
    for no key update skip locked);
  if cardinality(idle) > 0 then
    perform wake_tenants(idle, flows);
  end if;
  return null;
end
$$;

-- Where a user who comes back starts: at the smallest virtual time in service; when nobody is
-- served, where the last one ended. Only users of the same routes count: where those who wait for
-- slower workers stand tells nothing. Should they fill the front, any other of the same routes will
-- do, since those in service are close together.
create function virtual_time_in_service(served text[]) returns float8 language sql stable as $$
  select coalesce(
    (select virtual_time
     from (select user_id, virtual_time from tenant
           where awake and not drained order by virtual_time limit 100) front
     where exists (select from flow f
                   where f.user_id = front.user_id and f.awake and f.route = any(served))
     order by virtual_time limit 1),
    (select min(virtual_time)
     from (select user_id from flow where awake and route = any(served) limit 100) others
     join tenant using (user_id)
     where tenant.awake and not tenant.drained),
    (select virtual_time from tenant where awake order by virtual_time desc limit 1),
    (select virtual_time from tenant where not awake order by virtual_time desc limit 1))
$$;

-- Of these users, who are locked, those who were idle start where others are served who have jobs
-- of the same routes.
create function wake_tenants(users uuid[], flows int[]) returns void language sql as $$
  with started as materialized (
    select route, virtual_time_in_service(array[route]) as at
    from (select distinct route from flow where id = any(flows)) r
  )
  update tenant
  set awake = true,
      drained = false,
      virtual_time = greatest(virtual_time, at)
  from (
    select user_id, min(at) as at
    from flow
    join started using (route)
    where id = any(flows)
    group by user_id
  ) own
  where tenant.user_id = own.user_id
    and tenant.user_id = any(users)
    and (drained or not awake)
$$;

create trigger ready_wakes_flows after insert on ready
  referencing new table as arrived
  for each statement execute function wake_flows();

-- Puts flows without queued jobs to sleep, and users without an awake flow that a live worker
-- serves; wakes users who have one, as after a worker with new handlers came; tells the other flows
-- where they begin. Whom it changes is locked first and looked at again by a statement of its own:
-- between the first look and the lock a job may have come. Returns how many flows it changed.
create function tend_flows(most int) returns int language plpgsql as $$
declare
  served text[] := array(
    select distinct route from worker, unnest(routes) as route where expires_at > now());
  behind int[] := array(
    select id
    from flow f
    left join lateral (
      select rank from ready where flow_id = f.id and rank >= f.low order by rank limit 1
    ) first on true
    where awake
      and (rank is null or rank > low + interval '1 second')
    limit most);
  users uuid[];
begin
  behind := array(
    select id from flow where id = any(behind) order by id for update skip locked);
  update flow f
  set awake = r.rank is not null,
      low = coalesce(r.rank, 'infinity')
  from unnest(behind) as b(id)
  left join lateral (
    select rank
    from ready
    where flow_id = b.id
      and rank >= (select low from flow where id = b.id)
    order by rank
    limit 1
  ) r on true
  where f.id = b.id;
  users := array(
    select user_id from tenant
    where awake
      and cardinality(served) > 0 -- no claims, nothing to spare them
      and not exists (select from flow f
                      where f.user_id = tenant.user_id and f.awake and f.route = any(served))
    order by user_id
    limit most
    for update skip locked);
  update tenant set awake = false, drained = true
  where user_id = any(users)
    and not exists (select from flow f
                    where f.user_id = tenant.user_id and f.awake and f.route = any(served));
  users := array(
    select user_id from tenant
    where not awake
      and user_id in (select f.user_id from flow f where f.awake and f.route = any(served))
    order by user_id
    limit most
    for update skip locked);
  update tenant
  set awake = true,
      drained = false,
      virtual_time = greatest(virtual_time, virtual_time_in_service(served))
  where user_id = any(users);
  return cardinality(behind);
end
$$;
"""

BACK = """
drop trigger ready_wakes_flows on ready;
drop function wake_flows, wake_tenants, tend_flows, virtual_time_in_service;

alter table worker drop column routes, drop column running, drop column lag_ms;
alter table counter_delta drop column used, drop column charged;

alter table finished drop constraint finished_pkey;
alter table finished add primary key (job_id);
create index finished_by_status on finished (user_id, status, job_id desc);

drop index lease_to_stop;
alter table lease
  drop column charge,
  drop constraint lease_pkey,
  add primary key (user_id, job_id),
  add constraint lease_job unique (job_id);
create index lease_by_worker on lease (worker_id);

drop index flow_awake;
drop index flow_in_line;
create index flow_by_route on flow (route);
alter table flow reset (fillfactor);
alter table flow drop column awake, drop column low, drop column turn, drop column cost;

drop index tenant_in_line;
alter table tenant
  drop column awake,
  drop column drained,
  drop constraint tenant_weight,
  add constraint tenant_weight check (weight > 0);
"""

STATE_BEFORE = STATE.replace(" where status in (4, 5, 6)", "")


def upgrade() -> None:
    for part in (TURNS, PLACES, STATE, WAKING):
        _execute(part)


def downgrade() -> None:
    _execute(STATE_BEFORE)
    _execute(BACK)


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
