"""Letting gated jobs through: which, in what order, and under which limits."""

from __future__ import annotations

from typing import Any

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# A token bucket: so many tokens are there now. Jobs that were let through keep theirs in it until
# they start, so it is full with less, and what comes meanwhile is lost: else a limit whose jobs
# waited for a worker would let two bursts start at once. started, last_start: of jobs that run and
# were claimed since the bucket was looked at. When those have ended already, they count as started
# just now. What is taken, and who had not started, is written down by keep_tokens.
TOKENS = """
create function tokens_of(
  queue int, rate_key text, rate int, per_ms int, burst int,
  unstarted bigint, started bigint, last_start timestamptz, looked_at timestamptz
) returns float8 language plpgsql volatile as $$
declare
  before bucket;
  start_at timestamptz := looked_at;
  there float8;
begin
  select * into before from bucket where queue_id = queue and key = rate_key;
  if before.at is null then
    return greatest(0, burst - unstarted);
  end if;
  if unstarted < before.unstarted and started >= before.unstarted - unstarted then
    start_at := least(last_start, looked_at);
  end if;
  there := before.tokens + extract(epoch from start_at - before.at) * 1000 * rate / per_ms;
  there := greatest(0, least(there, burst - before.unstarted))
    + extract(epoch from looked_at - start_at) * 1000 * rate / per_ms;
  return greatest(0, least(there, burst - unstarted));
end
$$;

create function keep_tokens(
  queue int, rate_key text, there float8, waiting bigint, looked_at timestamptz
) returns void language sql as $$
  insert into bucket (queue_id, key, tokens, at, unstarted)
  values (queue, rate_key, there, looked_at, waiting)
  on conflict (queue_id, key) do update
  set tokens = excluded.tokens, at = excluded.at, unstarted = excluded.unstarted
$$;

-- How long until there is a token again, but not so short that a gate does nothing else.
create function token_wait(there float8, rate int, per_ms int, burst int)
returns interval immutable language sql as $$
  select greatest(
    (1 - least(there, 1)) * per_ms / rate,
    least(10, burst * per_ms::float8 / rate, 100)) * interval '1 ms'
$$;
"""

# Jobs count against a limit from the gate on, while they stand in line (ready) and while they run
# (lease): rows are counted under the lock on the queue, never a number kept.
ROOM = """
create function through_gate(
  gate queue, flows int[],
  out queued bigint, out running bigint, out started bigint, out last_start timestamptz
) language sql volatile as $$
  select (select count(*) from ready where flow_id = any(flows) and lane_id is not null),
         count(*),
         count(*) filter (
           where since > (select at from bucket where queue_id = gate.id and key = '')),
         max(since)
  from lease
  where flow_id = any(flows) and lane_id is not null
$$;

-- What the limits of their keys leave for these lanes. free: how many may run beside those that do;
-- tokens: of the rate key. Null is no limit. Windows instead of joins, which could compare each
-- lane with each.
create function lane_rooms(gate queue, lanes int[], looked_at timestamptz)
returns table (id int, concurrency_key text, rate_key text, head timestamptz, free bigint,
               tokens float8, unstarted bigint)
language sql volatile as $$
  with wanted as materialized (
    select * from lane where id = any(lanes)
  ),
  siblings as materialized (
    select * from wanted
    union
    select *
    from lane
    where queue_id = gate.id
      and concurrency_key <> ''
      and concurrency_key = any(array(select concurrency_key from wanted))
    union
    select *
    from lane
    where queue_id = gate.id
      and rate_key <> ''
      and gate.key_rate_limit is not null
      and rate_key = any(array(select rate_key from wanted))
  ),
  used as (
    select s.id, s.concurrency_key, s.rate_key, s.head,
           sum(q.jobs + r.jobs) over (partition by s.concurrency_key) as through,
           sum(q.jobs) over by_rate as unstarted,
           sum(r.started) over by_rate as started,
           max(r.last_start) over by_rate as last_start
    from siblings s
    cross join lateral (
      select count(*) as jobs from ready where flow_id = s.flow_id and lane_id = s.id
    ) q
    cross join lateral (
      select count(*) as jobs,
             count(*) filter (
               where since > (select at from bucket where queue_id = gate.id and key = s.rate_key)
             ) as started,
             max(since) as last_start
      from lease
      where flow_id = s.flow_id and lane_id = s.id
    ) r
    window by_rate as (partition by s.rate_key)
  )
  select id, concurrency_key, rate_key, head,
         case when concurrency_key <> '' then gate.max_running_per_key - through::bigint end,
         case when rate_key <> '' and gate.key_rate_limit is not null then
           tokens_of(gate.id, rate_key, gate.key_rate_limit, gate.key_rate_per_ms,
                     gate.key_rate_burst, unstarted::bigint, started::bigint, last_start,
                     looked_at) end,
         unstarted::bigint
  from used
  where id = any(lanes)
$$;
"""

# Jobs of flows that no worker serves any more would hold places for ever: they go back behind the
# gate. A claim that takes one meanwhile has it. Returns the lanes they stand in again.
BACK_BEHIND = """
create function send_back(flows int[]) returns int[] language sql as $$
  with gone as (
    delete from ready where flow_id = any(flows) and lane_id is not null returning *
  ),
  held as (
    insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, since, lane_id, awaited, rank)
    select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version,
           run_at, since, lane_id, awaited, rank
    from gone
  )
  select array(select distinct lane_id from gone)
$$;

-- Moves jobs that stood in line when their queue became limited behind its gate, and counts those
-- that run. Claims pass these flows by until all are moved. Returns whether there are more.
create function regate(which int, most int) returns boolean language plpgsql as $$
declare
  closed int;
  lane int;
  moved int;
  are_more boolean := false;
begin
  -- Lanes first: whoever has just made one may wait for the user.
  perform lane_of(id, '', '') from flow where queue_id = which and regating;
  perform from tenant t join queue q using (user_id) where q.id = which for no key update of t;
  for closed in select id from flow where queue_id = which and regating order by id loop
    lane := lane_of(closed, '', '');
    -- Whoever holds one of them is ending it, and may wait for the user.
    update lease set lane_id = lane
    where job_id = any(array(
      select job_id from lease where flow_id = closed and lane_id is null
      for no key update skip locked)); -- lines are logged meanwhile (log.sql)
    with loose as materialized (
      select ctid as place
      from ready
      where flow_id = closed and lane_id is null
      order by rank, job_id
      limit most
    ),
    gone as (
      delete from ready where ctid = any(array(select place from loose)) returning *
    ),
    noted as (
      insert into gate_note (lane_id) values (lane)
    )
    insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, since, lane_id, awaited, rank)
    select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version,
           run_at, since, lane, awaited, rank
    from gone;
    get diagnostics moved = row_count;
    if moved = most
       or exists (select from lease where flow_id = closed and lane_id is null) then
      are_more := true;
    else
      update flow set regating = false, awake = not paused, low = '-infinity' where id = closed;
    end if;
  end loop;
  return are_more;
end
$$;
"""

# A worker begins; gates look again at what waits for its routes. Whoever let jobs through while it
# was not there has ended by now, and whoever comes later sees it: else both could miss the other,
# and what waits would go on waiting.
REGISTER = """
create function register_worker(worker_id text, slots int, served text[], ttl interval)
returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('windlass.served', 0));
  insert into worker (id, slots, routes, expires_at)
  values (worker_id, slots, served, now() + ttl);
  insert into gate_note (queue_id)
  select distinct l.queue_id
  from lane l
  join flow f on f.id = l.flow_id
  where l.open
    and l.head is not null
    and f.route = any(served);
end
$$;
"""

# One queue at a time, so that a transaction locks one user: whoever locks several does it in order.
ADMIT = """
create function admit(most int)
returns table (looked boolean, admitted int, pause_ms float8)
language plpgsql as $$
#variable_conflict use_column
declare
  gate queue;
  candidate int;
  lanes int[];
  is_whole boolean;
begin
  admitted := 0;
  -- A worker that registers takes this lock alone (register_worker).
  perform pg_advisory_xact_lock_shared(hashtextextended('windlass.served', 0));
  for candidate in
    select queue_id from (
      select coalesce(n.queue_id, l.queue_id) as queue_id
      from (select * from gate_note order by id limit 1000) n
      left join lane l on l.id = n.lane_id
      union
      (select queue_id from lane where opens_at <= clock_timestamp() limit 100)
      union
      (select id from queue where opens_at <= clock_timestamp() limit 100)
    ) due
    -- Those that are due every few milliseconds must not keep out the others, nor these those.
    order by random()
  loop
    select * into gate from queue where id = candidate for no key update skip locked;
    exit when found;
  end loop;
  looked := gate.id is not null;
  if looked then
    with noted as (
      delete from gate_note
      where id = any(array(
        select n.id
        from (select * from gate_note order by id limit 1000) n
        left join lane l on l.id = n.lane_id
        where coalesce(n.queue_id, l.queue_id, gate.id) = gate.id))
      returning *
    )
    select array_agg(distinct lane_id) filter (where lane_id is not null),
           coalesce(bool_or(queue_id is not null), false)
    into lanes, is_whole
    from noted;
    admitted := open_gate(gate, coalesce(lanes, '{}'), is_whole, most);
  end if;
  select extract(epoch from min(opens_at) - clock_timestamp())::float8 * 1000 into pause_ms
  from (
    (select opens_at from lane where opens_at is not null order by opens_at limit 1)
    union all
    (select opens_at from queue where opens_at is not null order by opens_at limit 1)
  ) waits;
  return next;
end
$$;

-- lanes: those to look at again; is_whole: all of the queue.
create function open_gate(gate queue, noted int[], is_whole boolean, most int)
returns int language plpgsql as $$
declare
  flows int[];
  served int[];
  through record;
  looked_at timestamptz;
  there float8;
  room bigint;
  passed int;
  total int := 0;
begin
  select array_agg(id),
         array_agg(id) filter (where route in (
           select unnest(routes) from worker where expires_at > now()))
  into flows, served
  from flow where queue_id = gate.id;
  if flows is null then
    return 0;
  end if;
  if exists (select from flow where queue_id = gate.id and regating) then
    if regate(gate.id, most) then
      insert into gate_note (queue_id) values (gate.id);
    end if;
    is_whole := true;
  end if;
  if served is not null and cardinality(served) < cardinality(flows) then
    noted := noted || send_back(array(select unnest(flows) except select unnest(served)));
  end if;
  perform reopen_lanes(gate.id, noted, is_whole);
  if gate.paused then
    served := null; -- nothing is let through: it would hold places and tokens while it waits
  end if;
  for pass in 1..20 loop -- some 10,000 lanes, half a second
    looked_at := clock_timestamp(); -- once: what comes while this goes on is not lost
    select * into through from through_gate(gate, flows);
    -- No more stand in line than are started soon: who comes later and goes first can still go
    -- first, and there is little to count. Each of them leaves a note when it ends.
    room := least(most - total, 5000 - through.queued);
    if gate.max_running is not null then
      room := least(room, gate.max_running - through.queued - through.running);
    end if;
    if gate.rate_limit is not null then
      there := tokens_of(gate.id, '', gate.rate_limit, gate.rate_per_ms, gate.rate_burst,
                         through.queued, through.started, through.last_start, looked_at);
      room := least(room, floor(there)::bigint);
    end if;
    passed := null;
    if room > 0 and served is not null then
      passed := pass_gate(gate, served, room, looked_at);
    end if;
    if gate.rate_limit is not null then
      perform keep_tokens(gate.id, '', there - coalesce(passed, 0),
                          through.queued + coalesce(passed, 0), looked_at);
    end if;
    exit when passed is null;
    total := total + passed;
  end loop;
  perform plan_next(gate, served, there, total >= most or passed is not null);
  return total;
end
$$;

-- Where lanes begin, and that nothing is known to hold them up. A place that one lane of a key has
-- left is a place for all lanes of that key.
create function reopen_lanes(queue int, noted int[], is_whole boolean)
returns void language sql as $$
  with wanted as materialized (
    select id from lane where id = any(noted)
    union
    select id from lane
    where queue_id = queue and concurrency_key <> ''
      and concurrency_key = any(array(
        select concurrency_key from lane where id = any(noted) and concurrency_key <> ''))
    union
    select id from lane where opens_at <= clock_timestamp() and queue_id = queue
    union
    select id from lane where is_whole and queue_id = queue
  ),
  changed as materialized (
    -- of most lanes that somebody left nobody waits: nothing is to be written down
    select l.id, g.head
    from lane l
    cross join lateral (
      select (select rank from gated where lane_id = l.id order by rank, job_id limit 1) as head
    ) g
    where l.id = any(array(select id from wanted))
      and ((l.head, l.open, l.opens_at) is distinct from (g.head, true, null)
           or l.used_at < now() - interval '10 minutes') -- as in lane_of
  )
  update lane
  set open = true, opens_at = null, head = changed.head, used_at = now()
  from changed
  where lane.id = changed.id
$$;

-- One pass over the first lanes: lets at most `room` jobs through, the oldest ranks first. Returns
-- how many, null when no lane waits. Lanes that are held up are left out of the next pass.
create function pass_gate(
  gate queue, served int[], room bigint, looked_at timestamptz
) returns int language plpgsql as $$
declare
  seen int[] := array(
    select id
    from lane
    where queue_id = gate.id and open and head is not null
      and (flow_id = any(served)) is true -- else an index gives all lanes of these flows
    order by head
    limit 500);
  -- Of each of many lanes only a part is read; what is left comes with the next pass.
  part bigint := room;
  are_open boolean[];
  waits interval[];
  passed int;
begin
  if seen = '{}' then
    return null;
  end if;
  if cardinality(seen) > 1 then
    part := least(room, 1 + 2 * room / cardinality(seen));
  end if;
  with rooms as materialized (
    -- Of lanes that share a key one has its turn in each pass: what there is need not be divided.
    select *,
           row_number() over (partition by concurrency_key order by head, id) as by_key,
           row_number() over (partition by rate_key order by head, id) as by_rate
    from lane_rooms(gate, seen, looked_at)
  ),
  chosen as materialized (
    select g.place
    from rooms r
    cross join lateral (
      select ctid as place, rank, job_id
      from gated
      where lane_id = r.id
      order by rank, job_id
      limit greatest(0, least(r.free, floor(r.tokens)::bigint, part))
    ) g
    where (r.free is null or r.by_key = 1)
      and (r.tokens is null or r.by_rate = 1)
    order by g.rank, g.job_id
    limit room
  ),
  gone as (
    delete from gated where ctid = any(array(select place from chosen)) returning *
  ),
  queued as (
    insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, since, lane_id, awaited, rank)
    select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
           since, lane_id, awaited, rank
    from gone
  ),
  passing as materialized (
    -- Those that were really let through: one that somebody was moving just then stays where it is,
    -- and its place and token are not taken. Full joins are hashed, as in claim.sql.
    select r.concurrency_key, r.rate_key
    from gone g
    full join rooms r on r.id = g.lane_id
    where coalesce(g.version, 0) > 0
  ),
  paid as (
    insert into bucket (queue_id, key, tokens, at, unstarted)
    select gate.id, rate_key, min(r.tokens) - max(c.jobs), looked_at, min(unstarted) + max(c.jobs)
    from rooms r
    cross join lateral (select count(*) as jobs from passing where rate_key = r.rate_key) c
    where r.tokens is not null
    group by rate_key
    on conflict (queue_id, key) do update
    set tokens = excluded.tokens, at = excluded.at, unstarted = excluded.unstarted
  ),
  remaining as (
    select r.id, r.free - coalesce(k.jobs, 0) as free, r.tokens - coalesce(t.jobs, 0) as tokens
    from rooms r
    full join (
      select concurrency_key, count(*) as jobs from passing group by concurrency_key
    ) k using (concurrency_key)
    full join (
      select rate_key, count(*) as jobs from passing group by rate_key
    ) t on t.rate_key = r.rate_key
    where coalesce(r.id, 0) > 0
  )
  select array_agg(id), array_agg(coalesce(free, 1) > 0 and coalesce(tokens, 1) >= 1),
         array_agg(case when tokens < 1 and coalesce(free, 1) > 0 then token_wait(
           tokens, gate.key_rate_limit, gate.key_rate_per_ms, gate.key_rate_burst) end),
         (select count(*) from gone)
  into seen, are_open, waits, passed
  from remaining;
  update lane
  set head = (select rank from gated where lane_id = lane.id order by rank, job_id limit 1),
      open = s.is_open,
      opens_at = looked_at + s.wait
  from unnest(seen, are_open, waits) as s(id, is_open, wait)
  where lane.id = s.id;
  return passed;
end
$$;

-- there: the tokens of the queue's rate limit, null when it has none.
create function plan_next(gate queue, served int[], there float8, are_more boolean)
returns void language plpgsql as $$
declare
  waiting int;
  later timestamptz;
begin
  select id into waiting
  from lane
  where queue_id = gate.id and open and head is not null
    and (flow_id = any(served)) is true -- as in pass_gate
  order by head
  limit 1;
  if waiting is not null and are_more then
    insert into gate_note (lane_id) values (waiting);
  elsif waiting is not null and there < 1 then
    later := clock_timestamp()
      + token_wait(there, gate.rate_limit, gate.rate_per_ms, gate.rate_burst);
  end if;
  if later is distinct from gate.opens_at then
    update queue set opens_at = later where id = gate.id;
  end if;
end
$$;
"""

# Has a queue's flows do as its settings say; the user is locked already, so that no claim goes on
# meanwhile. FOR UPDATE waits for whoever is putting jobs in line by the settings before. Flows that
# become limited are closed until their jobs stand behind the gate (regate).
SETTINGS = """
create function apply_settings(which int) returns void language plpgsql as $$
declare
  wanted queue;
  flows int[];
begin
  select * into wanted from queue where id = which;
  perform from flow where queue_id = which order by id for update;
  update flow
  set regating = wanted.limited and (regating or not limited),
      limited = wanted.limited,
      paused = wanted.paused
  where queue_id = which
    and (paused, limited) is distinct from (wanted.paused, wanted.limited);
  update flow set awake = false where queue_id = which and (paused or regating) and awake;
  flows := array(
    select id from flow where queue_id = which and not paused and not regating and not awake
      and exists (select from ready where flow_id = flow.id));
  update flow set awake = true, low = '-infinity' where id = any(flows);
  if cardinality(flows) > 0 then
    perform wake_tenants(array[wanted.user_id], flows);
  end if;
  insert into gate_note (queue_id) values (which);
end
$$;
"""

# The running average of the slot time that jobs of a flow took, in seconds; null before one has
# ended. What claims charge (cost) begins with a value that nobody has measured.
RAN = "alter table flow add column ran_s float8"

FUNCTIONS = (
    "apply_settings, register_worker, admit, open_gate, reopen_lanes, pass_gate,"
    " plan_next, regate, send_back, lane_rooms, through_gate, token_wait, keep_tokens, tokens_of"
)


def upgrade() -> None:
    for part in (TOKENS, ROOM, BACK_BEHIND, REGISTER, ADMIT, SETTINGS, RAN):
        _execute(part)


def downgrade() -> None:
    op.execute("alter table flow drop column ran_s")
    op.execute(f"drop function {FUNCTIONS}")


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
