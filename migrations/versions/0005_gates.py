"""Queues with settings, and the gates that jobs under a limit wait at."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# limited: all jobs of the queue pass its gate, not only those with a key. opens_at: when the next
# token of its rate limit comes, while jobs wait for it.
QUEUES = """
create table queue (
  id int generated always as identity primary key,
  user_id uuid not null references account on delete cascade,
  name text not null,
  paused boolean not null default false,
  max_running int constraint queue_max_running check (max_running > 0),
  max_running_per_key int not null default 1
    constraint queue_max_running_per_key check (max_running_per_key > 0),
  rate_limit int constraint queue_rate_limit check (rate_limit > 0),
  rate_per_ms int,
  rate_burst int,
  key_rate_limit int constraint queue_key_rate_limit check (key_rate_limit > 0),
  key_rate_per_ms int,
  key_rate_burst int,
  limited boolean not null generated always as
    (max_running is not null or rate_limit is not null) stored,
  opens_at timestamptz,
  constraint queue_name unique (user_id, name)
) with (fillfactor = 50);
create index queue_to_open on queue (opens_at) where opens_at is not null;

insert into queue (user_id, name) select distinct user_id, queue from flow;

-- paused, limited: as its queue. regating: it has just become limited; its jobs that stand in line
-- are being moved behind the gate, and nobody claims meanwhile.
alter table flow
  add column queue_id int references queue on delete cascade,
  add column paused boolean not null default false,
  add column limited boolean not null default false,
  add column regating boolean not null default false;
update flow set queue_id = queue.id from queue
where queue.user_id = flow.user_id and queue.name = flow.queue;
alter table flow alter queue_id set not null;
create index flow_by_queue on flow (queue_id);
create index flow_regating on flow (queue_id) where regating;
"""

# A lane is a line of gated jobs with the same limits: those of a flow with the same keys.
# head: none of them has a lower rank; null while none waits, of a new one when it was made. open:
# nothing but the limits of the whole queue holds it up. opens_at: when the next token of its rate
# key comes. A key '' is none.
# bucket: the tokens of a rate limit at a time; one that is missing is full. Key '' is the queue's.
# unstarted: how many of those that had taken a token had not started by then.
# gate_note: a lane, or all of a queue, that may have something to let through.
LANES = """
create table lane (
  id int generated always as identity primary key,
  queue_id int not null references queue on delete cascade,
  flow_id int not null references flow on delete cascade,
  concurrency_key text not null default '',
  rate_key text not null default '',
  head timestamptz,
  open boolean not null default true,
  opens_at timestamptz,
  used_at timestamptz not null default now(),
  constraint lane_name unique (flow_id, concurrency_key, rate_key)
) with (fillfactor = 50);
create index lane_in_line on lane (queue_id, head) where open and head is not null;
create index lane_to_open on lane (opens_at) where opens_at is not null;
create index lane_by_concurrency on lane (queue_id, concurrency_key) where concurrency_key <> '';
create index lane_by_rate on lane (queue_id, rate_key) where rate_key <> '';
create index lane_by_use on lane (used_at);

create table bucket (
  queue_id int not null references queue on delete cascade,
  key text not null,
  tokens float8 not null,
  at timestamptz not null,
  unstarted bigint not null default 0,
  primary key (queue_id, key)
) with (fillfactor = 50);

create table gate_note (
  id bigint generated always as identity primary key,
  queue_id int,
  lane_id int
) with (autovacuum_vacuum_scale_factor = 0.01);
"""

# lane_id: of a waiting job, the lane that it will stand in; of a queued or running one, the lane
# that it came through. awaited: other jobs wait for the end of this one.
PLACES = """
alter table job
  add column concurrency_key text,
  add column rate_key text,
  add column expires_at timestamptz;
alter table blocked
  add column lane_id int, add column awaited boolean not null default false;
alter table scheduled
  add column lane_id int, add column awaited boolean not null default false;
alter table ready
  add column lane_id int, add column awaited boolean not null default false;
alter table lease
  add column lane_id int, add column awaited boolean not null default false;
alter table finished
  add column awaited boolean not null default false, add column reason text;

create table gated (
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
  lane_id int not null,
  awaited boolean not null default false,
  rank timestamptz not null,
  primary key (user_id, job_id)
) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01);

create index blocked_in_lane on blocked (lane_id) where lane_id is not null;
create index scheduled_in_lane on scheduled (lane_id) where lane_id is not null;
create index gated_by_rank on gated (lane_id, rank, job_id);
create index ready_in_lane on ready (flow_id, lane_id) where lane_id is not null;
create index lease_in_lane on lease (flow_id, lane_id) where lane_id is not null;
"""

# expired: jobs that are not worth running later. A job that runs at that time is looked at again.
EXPIRY = """
create table expiry (
  job_id uuid primary key,
  user_id uuid not null,
  at timestamptz not null
);
create index expiry_by_time on expiry (at);
"""

# The number of a lane, made on first use. One that was used in the last ten minutes is not pruned
# before this transaction ends, so most callers only look. KEY SHARE keeps the pruner out and the
# gatekeeper not, who updates lanes in an order of its own.
LANE_OF = """
create function lane_of(whose int, concurrency text, rate text) returns int language plpgsql as $$
declare
  found lane;
begin
  for attempt in 1..10 loop
    select * into found
    from lane
    where flow_id = whose and concurrency_key = concurrency and rate_key = rate;
    if found.used_at > now() - interval '10 minutes' then
      return found.id;
    end if;
    if found.id is null then
      insert into lane (queue_id, flow_id, concurrency_key, rate_key, head)
      select queue_id, id, concurrency, rate, now() from flow where id = whose
      on conflict on constraint lane_name do nothing
      returning * into found;
    else
      select * into found from lane where id = found.id for key share;
    end if;
    if found.id is not null then
      return found.id;
    end if;
  end loop;
  raise exception 'the lane of flow % is made and pruned all the time', whose;
end
$$;

-- Lanes that nothing stands in. Locked first and looked at again by a statement of its own: whoever
-- used one meanwhile has committed, or waits and makes another.
create function prune_lanes(unused interval, most int) returns int language plpgsql as $$
declare
  looked int[] := array(
    select id from lane
    where used_at < now() - unused
    order by used_at
    limit most
    for update skip locked);
  pruned int;
begin
  delete from lane l
  where id = any(looked)
    and is_empty(l)
    -- others of its key may wait for the place that its last job has left
    and id not in (select lane_id from gate_note where lane_id is not null);
  get diagnostics pruned = row_count;
  -- in use: not to be looked at again soon
  update lane set used_at = now() where id = any(looked);
  return pruned;
end
$$;
"""

IS_EMPTY = """
create function is_empty(l lane) returns boolean volatile language sql as $$
  select not exists (select from gated where lane_id = l.id)
     and not exists (select from ready where flow_id = l.flow_id and lane_id = l.id)
     and not exists (select from lease where flow_id = l.flow_id and lane_id = l.id)
     and not exists (select from scheduled where lane_id = l.id)
     and not exists (select from blocked where lane_id = l.id)
$$;
"""

# Besides waking whoever has jobs in line (0002): flows that are closed stay asleep, and a job that
# stands in line though its queue is limited by now is put behind the gate.
WAKING = """
create or replace function wake_flows() returns trigger language plpgsql as $$
declare
  flows int[];
  firsts timestamptz[];
  loose boolean[];
  stale int[];
  strays int[];
  idle uuid[];
begin
  select array_agg(flow_id), array_agg(first), array_agg(has_loose)
  into flows, firsts, loose
  from (
    select flow_id, min(rank) as first, bool_or(lane_id is null) as has_loose
    from arrived group by flow_id
  ) each;
  if flows is null then
    return null; -- most flushes put no job back in line
  end if;
  select array_agg(id) filter (where is_stale), array_agg(first) filter (where is_stale),
         array_agg(id) filter (where limited and has_loose)
  into stale, firsts, strays
  from (
    select *, not (paused or regating) and (not awake or low > first) as is_stale
    from (
      select id, awake, low, paused, regating, limited
      from flow where id = any(flows) order by id for key share
    ) held
    full join unnest(flows, firsts, loose) as a(id, first, has_loose) using (id) -- hashed
  ) looked;
  if strays is not null then
    perform gate_strays(strays, array(select job_id from arrived where lane_id is null));
  end if;
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

create function gate_strays(flows int[], jobs uuid[]) returns void language sql as $$
  with stray as (
    delete from ready
    where user_id = any(array(select user_id from flow where id = any(flows)))
      and job_id = any(jobs)
      and flow_id = any(flows)
      and lane_id is null
    returning *
  ),
  lined as materialized (
    select stray.*, lane_of(flow_id, '', '') as lane from stray
  ),
  held as (
    insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, since, lane_id, awaited, rank)
    select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
           version, run_at, since, lane, awaited, rank
    from lined
  )
  insert into gate_note (lane_id) select distinct lane from lined
$$;
"""

STATE = """
create view job_state as
  select job_id, user_id, 0::smallint as status, attempts, number, max_attempts, version, run_at,
         since, null::timestamptz as cancel_requested_at, null::real as progress,
         null::text as reason from blocked
  union all
  select job_id, user_id, 1::smallint, attempts, number, max_attempts, version, run_at,
         since, null, null, null from scheduled
  union all
  select job_id, user_id, 2::smallint, attempts, number, max_attempts, version, run_at,
         since, null, null, null from gated
  union all
  select job_id, user_id, 2::smallint, attempts, number, max_attempts, version, run_at,
         since, null, null, null from ready
  union all
  select job_id, user_id, 3::smallint, attempts, number, max_attempts, version, run_at,
         since, cancel_requested_at, progress, null from lease
  union all
  select job_id, user_id, status, attempts, number, max_attempts, version, run_at,
         since, cancel_requested_at, null, reason from finished where status in (4, 5, 6);
"""

STATE_BEFORE = """
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
         since, cancel_requested_at, null from finished where status in (4, 5, 6);
"""

BACK = """
-- What waits at a gate stands in line again, and nothing limits it.
insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts, version,
                   run_at, since, rank)
select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version,
       run_at, since, rank
from gated;
-- Flows that were paused, or were being put behind a gate, go on.
update flow set awake = true, low = '-infinity'
where exists (select from ready where flow_id = flow.id);
drop function gate_strays, lane_of, prune_lanes, is_empty;
drop table gated, expiry, gate_note, bucket, lane;
alter table finished drop column awaited, drop column reason;
alter table lease drop column lane_id, drop column awaited;
alter table ready drop column lane_id, drop column awaited;
alter table scheduled drop column lane_id, drop column awaited;
alter table blocked drop column lane_id, drop column awaited;
alter table job drop column concurrency_key, drop column rate_key, drop column expires_at;
alter table flow
  drop column queue_id, drop column paused, drop column limited, drop column regating;
drop table queue;
"""


def upgrade() -> None:
    op.execute("drop view job_state")
    for part in (QUEUES, LANES, PLACES, EXPIRY, IS_EMPTY, LANE_OF, WAKING, STATE):
        _execute(part)


def downgrade() -> None:
    before = runpy.run_path(str(Path(__file__).with_name("0002_fair_claims.py")))["WAKING"]
    op.execute("drop view job_state")
    _execute(STATE_BEFORE)
    _execute("drop trigger ready_wakes_flows on ready")
    _execute("drop function wake_flows, wake_tenants, tend_flows, virtual_time_in_service")
    _execute(before)
    _execute(BACK)


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
