"""Ends of queues, and indexes for the sweeps."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0070"
down_revision = "0012"
branch_labels = None
depends_on = None

# queue.retired: its owner has deleted it; it is not shown, and goes when the last of its finished
# jobs has gone. flow.retired: no new job may be lined up in it until it is taken into use again.
# empty_since: when the sweep first found that nothing refers to the queue.
COLUMNS = """
alter table queue
  add column retired boolean not null default false,
  add column empty_since timestamptz;
alter table flow add column retired boolean not null default false;
create index ticket_by_expiry on ticket (expires_at);
create index ticket_by_session on ticket (session_id);
create index minute_by_time on minute (at);
create index minute_wait_by_time on minute_wait (at);

-- Whether a flow has notes is asked for each that may be forgotten.
drop index counter_delta_by_user;
create index counter_delta_by_user on counter_delta (user_id, flow_id);

-- A lane goes with its flow. For the queue's sake too, all lanes would be read for each queue that
-- goes: no index is on the queue alone.
alter table lane drop constraint lane_queue_id_fkey;
"""

# The flows that are missing or retired, made or taken into use again, with their queues. A user has
# at most `most` queues (0 is no limit): the flows of a queue beyond are not in the answer. Of two
# transactions that add queues of one user the second waits, and counts those of the first.
MAKE_FLOWS = """
create function make_flows(users uuid[], queues text[], routes text[], most int)
returns table (id int, user_id uuid, queue text, route text) language plpgsql as $$
#variable_conflict use_column
begin
  perform pg_advisory_xact_lock(hashtextextended('windlass.queues ' || each::text, 0))
  from (select distinct unnest(users) as each order by 1) owners;

  insert into queue (user_id, name)
  select n.user_id, n.name
  from (
    select w.user_id, w.name, row_number() over (partition by w.user_id order by w.name) as number
    from (
      select distinct user_id, name from unnest(users, queues) as w(user_id, name)
      except
      select user_id, name from queue where user_id = any(users) and not retired
    ) w
  ) n
  where most = 0
     or n.number + (select count(*) from queue where user_id = n.user_id and not retired) <= most
  order by n.user_id, n.name
  on conflict (user_id, name) do update set retired = false, empty_since = null;

  -- The lock keeps settings from changing before the flow is there to have them.
  perform from queue q
  where (q.user_id, q.name) in (select * from unnest(users, queues)) and not q.retired
  order by q.user_id, q.name
  for no key update;

  insert into flow (user_id, queue, route, queue_id, paused, limited)
  select w.user_id, w.queue, w.route, q.id, q.paused, q.limited
  from (select distinct * from unnest(users, queues, routes) as w(user_id, queue, route)) w
  join queue q on q.user_id = w.user_id and q.name = w.queue and not q.retired
  where not exists (
    select from flow f
    where f.user_id = w.user_id and f.queue = w.queue and f.route = w.route and not f.retired)
  order by w.user_id, w.queue, w.route
  on conflict (user_id, queue, route) do update
  set retired = false, paused = excluded.paused, limited = excluded.limited;

  return query
    select f.id, f.user_id, f.queue, f.route
    from unnest(users, queues, routes) as w(user_id, queue, route)
    join flow f on f.user_id = w.user_id and f.queue = w.queue and f.route = w.route
    where not f.retired;
end
$$;
"""

# Whether jobs of a queue are left, finished ones too, by its counters and what is not added up yet.
HOLDS = """
create function jobs_of_queue(which int, out unfinished bigint, out finished bigint)
language sql volatile as $$
  select coalesce(sum(blocked + scheduled + queued + running), 0)::bigint,
         coalesce(sum(succeeded + failed + canceled), 0)::bigint
  from (
    select blocked, scheduled, queued, running, succeeded, failed, canceled
    from flow f
    join counter c on c.flow_id = f.id
    where f.queue_id = which
    union all
    select d.blocked, d.scheduled, d.queued, d.running, d.succeeded, d.failed, d.canceled
    from flow f
    join counter_delta d on d.flow_id = f.id and d.user_id = f.user_id
    where f.queue_id = which
  ) noted
$$;

-- Whether nothing refers to a queue: no job, no note of one, and no lane.
create function is_unused(which int) returns boolean language sql volatile as $$
  select not exists (
    select from flow f
    where f.queue_id = which
      and (exists (select from counter c
                   where c.flow_id = f.id
                     and (blocked, scheduled, queued, running, succeeded, failed, canceled)
                         <> (0, 0, 0, 0, 0, 0, 0))
           or exists (select from counter_delta where user_id = f.user_id and flow_id = f.id)
           or exists (select from ready where flow_id = f.id)
           or exists (select from lane where flow_id = f.id)))
$$;
"""

# Deletes a queue for its owner: whether there was one of this name, and whether it is retired now,
# since it had no unfinished jobs. Submitters hold its flows (submit.sql); later ones find them
# retired.
RETIRE = """
create function retire_queue(owner uuid, which text, out is_there boolean, out is_retired boolean)
language plpgsql as $$
declare
  gone int;
begin
  select id into gone
  from queue where user_id = owner and name = which and not retired
  for update;
  is_there := gone is not null;
  is_retired := false;
  if not is_there then
    return;
  end if;
  perform from tenant where user_id = owner for no key update; -- keeps claims off
  perform from flow where queue_id = gone order by id for update;
  if (select unfinished from jobs_of_queue(gone)) > 0 then
    return;
  end if;
  update queue
  set retired = true, empty_since = null, paused = false, max_running = null,
      max_running_per_key = 1, rate_limit = null, rate_per_ms = null, rate_burst = null,
      key_rate_limit = null, key_rate_per_ms = null, key_rate_burst = null
  where id = gone;
  update flow set retired = true where queue_id = gone;
  perform apply_settings(gone);
  is_retired := true;
end
$$;
"""

# Looks at the queues behind `after`, and forgets those that nothing refers to: at once where their
# owner has deleted them, else when they have no settings and were found so for `idle`. Flows,
# lanes, counters and buckets go with them. Locked first and looked at again by statements of their
# own: a job may have come between the first look and the lock. Those in use are passed over.
FORGET = """
create function forget_queues(after int, most int, idle interval, out last int, out forgotten int)
language plpgsql as $$
#variable_conflict use_column
declare
  looked int[] := array(select id from queue where id > after order by id limit most);
  unused int[];
  taken int[];
begin
  last := looked[cardinality(looked)];
  unused := array(
    select id from queue
    where id = any(looked)
      and is_unused(id)
      and (retired
           or (not paused and not limited and max_running_per_key = 1 and key_rate_limit is null)));
  update queue set empty_since = null
  where id = any(looked) and empty_since is not null and id <> all(unused);
  taken := array(
    select id from queue
    where id = any(unused) and (retired or empty_since < now() - idle)
    order by id
    for update skip locked);
  -- All flows of a queue or none.
  taken := array(
    select queue_id
    from (select queue_id from flow where queue_id = any(taken) order by id
          for update skip locked) held
    group by queue_id
    having count(*) = (select count(*) from flow f where f.queue_id = held.queue_id)
    union all
    select id from unnest(taken) as t(id)
    where not exists (select from flow where queue_id = t.id));
  delete from queue where id = any(taken) and is_unused(id);
  get diagnostics forgotten = row_count;
  update queue set empty_since = now()
  where id = any(unused) and not retired and empty_since is null;
end
$$;
"""


# As in 0005, but the notes are read once and not for each lane. All in one statement, so that it
# sees a job's lease or the note that its end has left.
PRUNE_LANES = """
create or replace function prune_lanes(unused interval, most int) returns int language plpgsql as $$
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
  where id = any(array(
      select unnest(looked)
      except
      (select lane_id from gate_note where lane_id is not null
       union all
       select unnest(freed) from gate_note)))
    and (select true from gated where lane_id = l.id limit 1) is null
    and (select true from ready where flow_id = l.flow_id and lane_id = l.id limit 1) is null
    and (select true from lease where flow_id = l.flow_id and lane_id = l.id limit 1) is null
    and (select true from scheduled where lane_id = l.id limit 1) is null
    and (select true from blocked where lane_id = l.id limit 1) is null;
  get diagnostics pruned = row_count;
  -- in use: not to be looked at again soon
  update lane set used_at = now() where id = any(looked);
  return pruned;
end
$$;
"""
PRUNE_LANES_BEFORE = """
create or replace function prune_lanes(unused interval, most int) returns int language plpgsql as $$
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
    and id not in (select lane_id from gate_note where lane_id is not null);
  get diagnostics pruned = row_count;
  update lane set used_at = now() where id = any(looked);
  return pruned;
end
$$;
"""


def upgrade() -> None:
    for part in (COLUMNS, MAKE_FLOWS, HOLDS, RETIRE, FORGET, PRUNE_LANES):
        _execute(part)


def downgrade() -> None:
    _execute(PRUNE_LANES_BEFORE)
    op.execute("drop function make_flows, retire_queue, forget_queues, jobs_of_queue, is_unused")
    op.execute(
        "drop index ticket_by_expiry, ticket_by_session, minute_by_time, minute_wait_by_time"
    )
    op.execute("alter table flow drop column retired")
    op.execute("""
        alter table lane add constraint lane_queue_id_fkey
          foreign key (queue_id) references queue on delete cascade
    """)
    op.execute("drop index counter_delta_by_user")
    op.execute("create index counter_delta_by_user on counter_delta (user_id)")
    op.execute("alter table queue drop column retired, drop column empty_since")


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
