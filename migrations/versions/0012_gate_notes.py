"""Letting jobs with many keys through at less cost."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# freed: lanes of the queue that jobs have left, in one note for all that one flush ended. Nobody
# waits for most of these places: only lanes that are closed are looked at again.
NOTES = """
alter table gate_note add column freed int[];
create index lane_closed on lane (queue_id) where not open;
drop function through_gate, lane_rooms, admit, open_gate, reopen_lanes, pass_gate, plan_next;
"""

# As in 0005, and no note speaks of it: others of its key may wait for the place that its last job
# has left. In one look with the lease of that job: a look before may find no note of it yet.
IS_EMPTY = """
create or replace function is_empty(l lane) returns boolean volatile language sql as $$
  select not exists (select from gated where lane_id = l.id)
     and not exists (select from ready where flow_id = l.flow_id and lane_id = l.id)
     and not exists (select from lease where flow_id = l.flow_id and lane_id = l.id)
     and not exists (select from scheduled where lane_id = l.id)
     and not exists (select from blocked where lane_id = l.id)
     and not exists (select from gate_note where lane_id = l.id or l.id = any(freed))
$$;
"""

# Jobs count against a limit from the gate on, while they stand in line (ready) and while they run
# (lease): rows are counted under the lock on the queue, never a number kept.
ROOM = """
create function through_gate(
  gate queue, flows int[],
  out queued bigint, out running bigint, out started bigint, out last_start timestamptz
) language sql volatile as $$
  select (select count(*) from ready
          where flow_id = any(flows)
            -- not by the index over lanes: in the order of ranks they lie side by side
            and (lane_id is not null) is true),
         count(*),
         count(*) filter (
           where since > (select at from bucket where queue_id = gate.id and key = '')),
         max(since)
  from lease
  where flow_id = any(flows) and lane_id is not null
    and (gate.max_running is not null or gate.rate_limit is not null) -- else nobody asks
$$;

-- What the limits of their keys leave for these lanes. free: how many may run beside those that do;
-- tokens: of the rate key. Null is no limit. Windows instead of joins, which could compare each
-- lane with each.
create function lane_rooms(gate queue, lanes int[], looked_at timestamptz)
returns table (id int, concurrency_key text, rate_key text, free bigint, tokens float8,
               unstarted bigint)
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
    select s.id, s.concurrency_key, s.rate_key,
           sum(q.jobs + r.jobs) over (partition by s.concurrency_key) as through,
           sum(q.jobs) over by_rate as unstarted,
           sum(r.started) over by_rate as started,
           max(r.last_start) over by_rate as last_start
    from (
      select *,
             concurrency_key <> '' or rate_key <> '' and gate.key_rate_limit is not null as has_key
      from siblings
    ) s
    cross join lateral (
      select count(*) as jobs
      from ready
      where flow_id = s.flow_id and lane_id = s.id
        and s.has_key -- else nobody asks
    ) q
    cross join lateral (
      select count(*) as jobs,
             count(*) filter (
               where since > (select at from bucket where queue_id = gate.id and key = s.rate_key)
             ) as started,
             max(since) as last_start
      from lease
      where flow_id = s.flow_id and lane_id = s.id and s.has_key
    ) r
    window by_rate as (partition by s.rate_key)
  )
  select id, concurrency_key, rate_key,
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

REGATE = """
-- Moves jobs that stood in line when their queue became limited behind its gate, and counts those
-- that run. Claims pass these flows by until all are moved. Returns whether there are more.
create or replace function regate(which int, most int) returns boolean language plpgsql as $$
declare
  closed int;
  lane int;
  moved int;
  are_more boolean := false;
  done int[];
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
      done := done || closed;
    end if;
  end loop;
  -- What is put back in line just now may have found its flow closed: it wakes in any case, and
  -- whoever tends the flows sends it to sleep when it has no jobs.
  update flow set regating = false, awake = not paused, low = '-infinity' where id = any(done);
  perform wake_tenants(array[(select user_id from queue where id = which)],
                       array(select id from flow where id = any(done) and not paused));
  return are_more;
end
$$;
"""

# One queue at a time, so that a transaction locks one user: whoever locks several does it in order.
ADMIT = """
create function admit(most int)
returns table (looked boolean, admitted int, pause_ms float8)
-- A bitmap would read all that has ever stood in line since the last vacuum; an index scan marks
-- what is dead when it meets it, and passes by the next time.
language plpgsql set enable_bitmapscan = off as $$
#variable_conflict use_column
declare
  gate queue;
  candidate int;
  lanes int[];
  left_lanes int[];
  is_whole boolean;
begin
  admitted := 0;
  -- Nobody waits for the disk: should this be lost, the jobs are at the gate still, and so are the
  -- notes. A claim that has seen them let through writes this to the disk with its own commit.
  perform set_config('synchronous_commit', 'off', true);
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
    with noted as materialized (
      delete from gate_note
      where id = any(array(
        select id
        from (
          select n.id, coalesce(n.queue_id, l.queue_id, gate.id) as queue_id,
                 sum(cardinality(n.freed)) over (
                   partition by coalesce(n.queue_id, l.queue_id) order by n.id
                   rows between unbounded preceding and 1 preceding) as lanes
          from (select * from gate_note order by id limit 1000) n
          left join lane l on l.id = n.lane_id
        ) first
        -- not more at a time than there is to see soon; one flush has some thousand at most
        where queue_id = gate.id and coalesce(lanes, 0) < 20000))
      returning *
    )
    select array(select distinct lane_id from noted where lane_id is not null),
           array(select distinct unnest(freed) from noted),
           exists (select from noted where lane_id is null and freed is null)
    into lanes, left_lanes, is_whole;
    admitted := open_gate(gate, lanes, left_lanes, is_whole, most);
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

-- noted: lanes to look at again; freed: those that jobs have left; is_whole: all of the queue.
create function open_gate(gate queue, noted int[], freed int[], is_whole boolean, most int)
returns int language plpgsql as $$
declare
  flows int[];
  served int[];
  through record;
  woken int[];
  heads timestamptz[];
  looked_at timestamptz;
  there float8;
  room bigint;
  passed int;
  total int := 0;
  line constant int := 5000;
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
  if gate.paused then
    served := null; -- nothing is let through: it would hold places and tokens while it waits
  end if;
  select coalesce(array_agg(id), '{}'), array_agg(head) into woken, heads
  from wake_lanes(gate.id, served, noted, freed, is_whole);
  for pass in 1..20 loop -- some 10,000 lanes, half a second
    looked_at := clock_timestamp(); -- once: what comes while this goes on is not lost
    select * into through from through_gate(gate, flows);
    -- No more stand in line than are started soon: who comes later and goes first can still go
    -- first, and there is little to count. Each of them leaves a note when it ends.
    room := least(most - total, line - through.queued);
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
      -- Few lanes and more of each, which costs less; many when these have not enough.
      select * into passed, woken, heads
      from pass_gate(
        gate, served, woken, heads, room,
        case pass when 1 then least(500, greatest(32, room / 32, cardinality(woken))) else 500 end,
        looked_at);
    end if;
    there := there - coalesce(passed, 0);
    if gate.rate_limit is not null then
      perform keep_tokens(gate.id, '', there, through.queued + coalesce(passed, 0), looked_at);
    end if;
    exit when passed is null;
    total := total + passed;
    exit when passed = room;
  end loop;
  update lane
  set open = true, opens_at = null, head = w.head
  from unnest(woken, heads) as w(id, head)
  where lane.id = w.id;
  perform plan_next(gate, served, there, through.queued + coalesce(passed, 0) >= line,
                    total >= most or coalesce(passed < room, false));
  return total;
end
$$;

-- Where lanes begin, and that nothing is known to hold them up. A place that one lane of a key has
-- left is a place for all lanes of that key. Closed lanes where jobs wait are returned with their
-- heads and left as they are: most close again in the pass that comes, and need not be written.
create function wake_lanes(queue int, served int[], noted int[], freed int[], is_whole boolean)
returns table (id int, head timestamptz) language sql as $$
  with told as materialized (
    select id, concurrency_key, open
    from lane
    where id = any(noted || case
      when exists (select from lane where queue_id = queue and not open) then freed end)
  ),
  wanted as materialized (
    select id from told where not open or id in (select unnest(noted)) -- hashed
    union
    select id from lane
    where queue_id = queue and concurrency_key <> ''
      and not coalesce(open, true) -- not by the index over those: it would compare each with each
      and concurrency_key = any(array(
        select concurrency_key from told where concurrency_key <> ''))
    union
    select id from lane where opens_at <= clock_timestamp() and queue_id = queue
    union
    select id from lane where is_whole and queue_id = queue
  ),
  changed as materialized (
    -- of most lanes that somebody left nobody waits: nothing is to be written down
    select l.id, g.head,
           l.open or g.head is null or (l.flow_id = any(served)) is not true
           or l.used_at < now() - interval '10 minutes' as is_written -- as in lane_of
    from lane l
    cross join lateral (
      select (select rank from gated where lane_id = l.id order by rank, job_id limit 1) as head
      offset 0 -- look for it once
    ) g
    where l.id = any(array(select id from wanted))
      and (case when g.head is null then l.head is not null or l.opens_at is not null
                else (l.head, l.open, l.opens_at) is distinct from (g.head, true, null) end
           or l.used_at < now() - interval '10 minutes')
  ),
  written as (
    update lane
    set open = true, opens_at = null, head = changed.head, used_at = now()
    from changed
    where lane.id = changed.id
      and is_written
  )
  select id, head from changed where not is_written
$$;

-- The first lanes, of those that are open and of those that were woken, with their heads; null when
-- there are none. last_rank: how far to go while others are not looked at. A job may go ten seconds
-- before one of those: of one priority, they are nearly as old. An aging step is longer.
create function first_lanes(
  gate queue, served int[], woken int[], heads timestamptz[], most bigint,
  out seen int[], out starts timestamptz[], out last_rank timestamptz
) language plpgsql as $$
begin
  select array_agg(id) filter (where number <= most),
         array_agg(head) filter (where number <= most),
         coalesce(min(head) filter (where number > most) + interval '10 s', 'infinity')
  into seen, starts, last_rank
  from (
    select id, head, row_number() over (order by head) as number
    from (
      (select id, head
       from lane
       where queue_id = gate.id and open and head is not null
         and (flow_id = any(served)) is true -- else an index gives all lanes of these flows
       order by head
       limit most + 1)
      union all
      select * from unnest(woken, heads)
    ) as either(id, head)
    order by head
    limit most + 1
  ) first;
end
$$;

-- One pass over the first lanes: lets at most `room` jobs through, the oldest ranks first. Returns
-- how many, null when no lane waits, and which of the woken lanes it did not look at. The next pass
-- leaves out lanes that are held up.
create function pass_gate(
  gate queue, served int[], woken int[], heads timestamptz[], room bigint, most_lanes bigint,
  looked_at timestamptz,
  out passed int, out still_woken int[], out their_heads timestamptz[]
) language plpgsql as $$
declare
  seen int[];
  starts timestamptz[];
  last_rank timestamptz;
  -- Of each of many lanes only a part is read; what is left comes with the next pass.
  part bigint := room;
  are_open boolean[];
  waits interval[];
  lasts timestamptz[];
begin
  select * into seen, starts, last_rank from first_lanes(gate, served, woken, heads, most_lanes);
  select coalesce(array_agg(id), '{}'), array_agg(head) into still_woken, their_heads
  from unnest(woken, heads) as w(id, head)
  where (id in (select unnest(seen))) is not true; -- hashed
  if seen is null then
    return;
  end if;
  if cardinality(seen) > 1 then
    part := least(room, 1 + 5 * room / (4 * cardinality(seen)));
  end if;
  with rooms as materialized (
    -- Of lanes that share a key one has its turn in each pass: what there is need not be divided.
    select *,
           row_number() over (partition by concurrency_key order by head, id) as by_key,
           row_number() over (partition by rate_key order by head, id) as by_rate
    from lane_rooms(gate, seen, looked_at)
    join unnest(seen, starts) as s(id, head) using (id)
  ),
  offered as materialized (
    select g.place, g.rank, g.job_id, g.number
    from rooms r
    cross join lateral (
      select ctid as place, rank, job_id,
             row_number() over (order by rank, job_id) as number
      from gated
      where lane_id = r.id
        and rank between r.head and last_rank -- from the head: not through what has left
      order by rank, job_id
      limit greatest(0, least(r.free, floor(r.tokens)::bigint, part))
    ) g
    where (r.free is null or r.by_key = 1)
      and (r.tokens is null or r.by_rate = 1)
  ),
  chosen as materialized (
    -- Not far past what was read of a lane that has more, as with lanes that are not looked at.
    select place
    from offered
    where rank <= (select coalesce(min(rank) + interval '10 s', 'infinity')
                   from offered where number = part and part < room)
    order by rank, job_id
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
  -- Those that were really let through: one that somebody was moving just then stays where it is,
  -- and its place and token are not taken.
  passed_by as materialized (
    select lane_id, count(*) as jobs, max(rank) as last from gone group by lane_id
  ),
  remaining as materialized (
    select r.id, r.rate_key,
           r.free - coalesce(sum(p.jobs) over (partition by r.concurrency_key), 0) as free,
           r.tokens - coalesce(sum(p.jobs) over by_rate, 0) as tokens,
           r.unstarted + coalesce(sum(p.jobs) over by_rate, 0) as unstarted,
           -- of one that was skipped the rank may be lower
           greatest(r.head, case when (select count(*) from gone) = (select count(*) from chosen)
                                 then p.last end) as last
    from rooms r
    full join passed_by p on p.lane_id = r.id -- hashed, as in claim.sql
    where coalesce(r.id, 0) > 0
    window by_rate as (partition by r.rate_key)
  ),
  paid as (
    insert into bucket (queue_id, key, tokens, at, unstarted)
    select gate.id, rate_key, min(tokens), looked_at, min(unstarted)
    from remaining
    where tokens is not null
    group by rate_key
    on conflict (queue_id, key) do update
    set tokens = excluded.tokens, at = excluded.at, unstarted = excluded.unstarted
  )
  select array_agg(id), array_agg(coalesce(free, 1) > 0 and coalesce(tokens, 1) >= 1),
         array_agg(case when tokens < 1 and coalesce(free, 1) > 0 then token_wait(
           tokens, gate.key_rate_limit, gate.key_rate_per_ms, gate.key_rate_burst) end),
         array_agg(last), (select count(*) from gone)
  into seen, are_open, waits, lasts, passed
  from remaining;
  perform keep_lanes(seen, are_open, waits, lasts, looked_at);
end
$$;

-- Writes down how a pass leaves lanes: whether they are open, how long the next token takes, what
-- rank went through last. The head of a lane that was closed and stays so may lag: it is looked for
-- when it is woken. One where nothing waits is open, so that nobody asks whether it may open.
create function keep_lanes(
  lanes int[], are_open boolean[], waits interval[], lasts timestamptz[], looked_at timestamptz
) returns void language plpgsql as $$
begin
  update lane
  set head = s.head, open = s.open, opens_at = s.opens_at
  from (
    select l.id, h.head, l.is_open or h.head is null as open,
           case when h.head is not null then looked_at + l.wait end as opens_at
    from unnest(lanes, are_open, waits, lasts) as l(id, is_open, wait, last)
    cross join lateral (
      select (
        select rank
        from gated
        where lane_id = l.id and rank >= l.last -- not through those that have just left
        order by rank, job_id
        limit 1) as head
      offset 0 -- look for it once
    ) h
  ) s
  where lane.id = s.id
    and (lane.open or s.open or s.opens_at is distinct from lane.opens_at
         or coalesce(s.head < lane.head, true));
end
$$;

-- there: the tokens of the queue's rate limit, null when it has none. is_full: so many stand in
-- line that no more were let through. Their ends leave notes, maybe only in an hour, and workers
-- with more slots than that have room before.
create function plan_next(
  gate queue, served int[], there float8, is_full boolean, are_more boolean
) returns void language plpgsql as $$
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
  elsif waiting is not null and is_full then
    later := clock_timestamp() + interval '1 s';
    if gate.opens_at between clock_timestamp() and later then
      return;
    end if;
  end if;
  if later is distinct from gate.opens_at then
    update queue set opens_at = later where id = gate.id;
  end if;
end
$$;
"""


def upgrade() -> None:
    for part in (NOTES, IS_EMPTY, ROOM, REGATE, ADMIT):
        _execute(part)


def downgrade() -> None:
    gates = runpy.run_path(str(Path(__file__).with_name("0005_gates.py")))
    admission = runpy.run_path(str(Path(__file__).with_name("0006_admission.py")))
    _execute(
        "drop function through_gate, lane_rooms, admit, open_gate, wake_lanes, first_lanes,"
        " pass_gate, keep_lanes, plan_next, is_empty, send_back, regate"
    )
    _execute(gates["IS_EMPTY"])
    _execute(admission["ROOM"])
    _execute(admission["BACK_BEHIND"])
    _execute(admission["ADMIT"])
    _execute("drop index lane_closed; alter table gate_note drop column freed")


def _execute(script: str) -> None:
    """Run many statements, which the protocol behind `op.execute` does not take at once."""
    op.execute("select 1")  # SQLAlchemy begins its transaction with the first statement it sees
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
