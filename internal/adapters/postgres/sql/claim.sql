-- Lease queued jobs to a live worker, fairly: start-time fair queueing over users, turns over a
-- user's queues, within a queue the oldest rank (domain/fairness.py has the rules and the numbers).
-- $1 worker, $2 routes, $3 how many, $4 users to pass over. Users that another claim holds are
-- skipped; the lock on a user keeps other claims off all of the user's rows of ready.
with line as materialized (
  select user_id, virtual_time, weight
  from tenant
  where awake
    and user_id <> all($4::uuid[])
    and exists (select from worker where id = $1 and expires_at > now())
    and exists (
      select from flow f
      where f.user_id = tenant.user_id
        and f.awake
        and f.route = any($2::text[])
        -- a value, not another `exists`: as a join the planner may read all of ready
        and (select true from ready where flow_id = f.id and rank >= f.low limit 1))
  order by virtual_time
  limit least($3::int, greatest(32, $3::int / 16))
  for no key update skip locked
),
held as (
  -- The first whom this claim cannot have: while others wait for them nobody gets far ahead.
  select user_id, virtual_time, weight
  from tenant
  where awake
    and virtual_time < (select max(virtual_time) from line)
    and user_id not in (select user_id from line)
    and user_id <> all($4::uuid[])
    and exists (
      select from flow f
      where f.user_id = tenant.user_id
        and f.awake
        and f.route = any($2::text[])
        and (select true from ready where flow_id = f.id and rank >= f.low limit 1))
  order by virtual_time
  limit 1
),
flows as materialized (
  select u.*, f.id, f.low, f.cost,
         greatest(f.turn, max(f.turn) over own - 100) as turn,
         max(f.turn) over own as last_turn,
         count(*) over own as flows,
         avg(f.cost) over own / u.weight as pace, -- virtual time that a job of the user takes
         min(f.cost) over own / u.weight as least_pace,
         min(u.virtual_time) over () as first_time
  from (
    select *, true as ours from line
    union all
    select *, false from held
  ) u
  cross join lateral (
    select id, low, turn, cost
    from flow
    where user_id = u.user_id
      and awake
      and route = any($2::text[])
      and (select true from ready where flow_id = flow.id and rank >= flow.low limit 1)
    order by turn
    limit 32
  ) f
  window own as (partition by u.user_id)
),
mark as materialized (
  -- $3 jobs and a quarter more, given to the lowest users as water: where it finds its level.
  select min(level) as level
  from (
    select first_time
           + (1.25 * $3 + sum((virtual_time - first_time) / pace) over lower)
           / sum(1 / pace) over lower as level
    from (select distinct user_id, virtual_time, pace, first_time from flows) each
    window lower as (order by virtual_time, user_id)
  ) levels
),
rooms as materialized (
  -- Nobody can be served more than what brings them to the level, and their queue to its turn:
  -- without these bounds a claim reads $3 rows of every flow. Where some have fewer jobs than
  -- that it comes out short, and the next claim finds the rest.
  select f.*, least(u.most, f.last_turn - f.turn + ceil(1.25 * u.most / f.flows))::int + 1 as room
  from flows f
  cross join mark
  cross join lateral (
    select least($3, ceil(greatest(mark.level - f.virtual_time, 0) / f.least_pace)) as most
  ) u
  where f.ours
),
offered as materialized (
  select f.user_id, f.id as flow_id, f.room, f.weight, f.cost, r.place,
         f.virtual_time + coalesce(sum(f.cost / f.weight) over before, 0) as tag
  from rooms f
  cross join lateral (
    select ctid as place, row_number() over (order by rank, job_id) as number
    from ready
    where flow_id = f.id
      and rank >= f.low
    order by rank, job_id
    limit f.room
  ) r
  window before as (
    partition by f.user_id order by f.turn + r.number, f.id
    rows between unbounded preceding and 1 preceding)
),
chosen as materialized (
  select place, tag, cost, weight
  from offered
  where tag <= (select level from mark)
  order by tag, flow_id
  limit $3
),
taken as (
  -- ctid = any(array(...)), not a join: for a join the planner may hash the whole table.
  -- Rows of ready are never updated, so their ctid holds; a cancel may have deleted one.
  delete from ready
  where ctid = any(array(select place from chosen))
  returning ready.*, ready.ctid as place
),
served as materialized (
  -- A full join is hashed; a plain one may compare each with each where estimates are old.
  select t.*, c.tag, c.cost, c.weight
  from taken t
  full join chosen c using (place)
  where coalesce(t.version, 0) > 0
),
leased as (
  insert into lease (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, lane_id, awaited, token, worker_id, charge)
  select job_id, user_id, flow_id, priority, attempts, number + 1, max_attempts,
         version + 1, run_at, lane_id, awaited,
         version + 1, -- the fencing token: versions of a job only grow
         $1, cost
  from served
),
by_flow as materialized (
  -- once, and few rows: what follows would else go through all jobs again
  select user_id, flow_id, count(*) as jobs, sum(cost) as cost
  from served
  group by user_id, flow_id
),
charged as (
  update tenant
  set virtual_time = tenant.virtual_time + s.cost / tenant.weight,
      drained = s.jobs = o.jobs and o.whole
  from (select user_id, sum(cost) as cost, sum(jobs) as jobs from by_flow group by user_id) s
  join (
    select user_id, sum(jobs) as jobs, bool_and(jobs < room) and count(*) < 32 as whole
    from (
      select user_id, flow_id, room, count(*) as jobs from offered group by 1, 2, 3
    ) offers
    group by user_id
  ) o using (user_id)
  where tenant.user_id = s.user_id
),
turned as (
  -- A user's only flow in line needs no turns.
  update flow
  set turn = r.turn + s.jobs
  from by_flow s
  join rooms r on r.id = s.flow_id
  where flow.id = s.flow_id
    and r.flows > 1
),
counted as (
  insert into counter_delta (flow_id, user_id, queued, running)
  select flow_id, user_id, -jobs, jobs from by_flow
),
told as (
  -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from served
  -- Hashed, and a listener looked up once a queue: joined, it may be looked up for each job.
  where (user_id in (
    select user_id from by_flow
    where (select true from listener where user_id = by_flow.user_id))) is true
  group by user_id
  returning id
),
details as (
  -- The bounds leave out the other days, which an array alone does not; the users make a look-up
  -- by id the better choice even over a day that was empty when this was planned.
  select id, type, payload, backoff_strategy, backoff_base_ms, backoff_max_ms, backoff_jitter,
         timeout_ms, parents,
         -- whoever retries an expired job by hand means it; a case, since most have no such time
         case when expires_at <= now()
              then (select true from replay
                    where job_id = job.id and parent_id is null
                    limit 1) is null
              else false end as expired
  from job
  where user_id = any(array(select distinct user_id from by_flow))
    and id = any(array(select job_id from served))
    and id >= (select job_id from served order by job_id limit 1)
    and id <= (select job_id from served order by job_id desc limit 1)
)
select s.job_id, s.user_id, s.version + 1 as token, j.type, j.payload, s.number + 1 as number,
       s.attempts, s.max_attempts, j.backoff_strategy, j.backoff_base_ms, j.backoff_max_ms,
       j.backoff_jitter, j.timeout_ms, s.tag, s.weight, j.expired, j.parents,
       exists (select from told) as told
from served s
full join details j on j.id = s.job_id
order by s.tag
