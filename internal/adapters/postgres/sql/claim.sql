-- Lease queued jobs to a live worker, fairly: start-time fair queueing over users, turns over a
-- user's queues, within a queue the oldest rank (domain/fairness.py has the rules).
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
  limit least($3::int, 32)
  for no key update skip locked
),
flows as materialized (
  select line.*, f.id, f.low, f.turn, f.cost,
         count(*) over own as flows,
         max(f.turn) over own as last_turn,
         avg(f.cost) over own / line.weight as pace -- virtual time that a job of the user takes
  from line
  cross join lateral (
    select id, low, turn, cost
    from flow
    where user_id = line.user_id
      and awake
      and route = any($2::text[])
      and (select true from ready where flow_id = flow.id and rank >= flow.low limit 1)
    order by turn
    limit 32
  ) f
  window own as (partition by line.user_id)
),
all_users as (
  select max(virtual_time) as last_time, sum(1 / pace) as rate
  from (select distinct user_id, virtual_time, pace from flows) each
),
-- Nobody can be served more than what they lag behind and about their share: without these bounds
-- a claim reads $3 rows of every flow. A quarter more makes up for those who have too few; where
-- that is not enough the next claim finds the rest.
rooms as materialized (
  select f.*,
         least(u.most, f.last_turn - f.turn + ceil(1.25 * u.most / f.flows))::int + 1 as room
  from flows f
  cross join all_users a
  cross join lateral (
    select least($3, ceil((a.last_time - f.virtual_time + 1.25 * $3 / a.rate) / f.pace)) as most
  ) u
),
first as materialized (
  select f.user_id, f.id as flow_id, f.weight, f.cost, r.place,
         f.virtual_time + coalesce(sum(f.cost / f.weight) over before, 0) as tag,
         -- rows of the user in all, if all there are
         case when bool_and(r.last) over own then count(*) over own end as all_offered
  from rooms f
  cross join lateral (
    select ctid as place, row_number() over (order by rank, job_id) as number,
           count(*) over () < f.room as last
    from (
      select ctid, rank, job_id
      from ready
      where flow_id = f.id
        and rank >= f.low
      order by rank, job_id
      limit f.room
    ) head
  ) r
  window own as (partition by f.user_id),
         before as (
           partition by f.user_id order by f.turn + r.number, f.id
           rows between unbounded preceding and 1 preceding)
),
chosen as materialized (
  select * from first order by tag, place limit $3
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
  select t.*, c.tag, c.cost, c.weight, c.all_offered
  from taken t
  full join chosen c using (place)
  where coalesce(t.version, 0) > 0
),
leased as (
  insert into lease (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, token, worker_id, charge)
  select job_id, user_id, flow_id, priority, attempts, number + 1, max_attempts,
         version + 1, run_at,
         version + 1, -- the fencing token: versions of a job only grow
         $1, cost
  from served
),
charged as (
  update tenant
  set virtual_time = tenant.virtual_time + s.cost / tenant.weight,
      drained = s.drained
  from (
    select user_id, sum(cost) as cost, coalesce(count(*) = max(all_offered), false) as drained
    from served
    group by user_id
  ) s
  where tenant.user_id = s.user_id
),
turned as (
  -- A user's only flow in line needs no turns.
  update flow
  set turn = flow.turn + s.jobs
  from (select flow_id, count(*) as jobs from served group by flow_id) s
  where flow.id = s.flow_id
    and s.flow_id in (select id from flows where flows > 1)
),
counted as (
  insert into counter_delta (flow_id, user_id, queued, running)
  select flow_id, user_id, -count(*), count(*) from served group by flow_id, user_id
),
told as (
  -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from served t
  where exists (select from listener where user_id = t.user_id)
  group by user_id
  returning id
)
select j.id, j.user_id, s.version + 1 as token, j.type, j.payload, s.number + 1 as number,
       s.attempts, s.max_attempts, j.backoff_strategy, j.backoff_base_ms, j.backoff_max_ms,
       j.backoff_jitter, j.timeout_ms, s.tag, s.weight,
       exists (select from told) as told
from served s
cross join lateral (
  -- the limit keeps it a look-up for each job
  select * from job where id = s.job_id limit 1
) j
order by s.tag
