-- Lease queued jobs to a live worker: oldest rank first over all flows of its routes.
-- $1 worker, $2 routes, $3 how many. Rows that another claim holds are skipped.
with pick as materialized (
  select r.place, r.rank, r.job_id
  from flow f
  cross join lateral (
    select ctid as place, rank, job_id
    from ready
    where flow_id = f.id
    order by rank, job_id
    limit $3
    for update skip locked
  ) r
  where f.route = any($2::text[])
    and exists (select from worker where id = $1 and expires_at > now())
  order by r.rank, r.job_id
  limit $3
),
taken as (
  -- ctid = any(array(...)), not a join: for a join the planner may hash the whole table.
  -- Rows of ready are never updated, so a locked row's ctid still holds.
  delete from ready
  where ctid = any(array(select place from pick))
  returning *
),
leased as (
  insert into lease (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, token, worker_id)
  select job_id, user_id, flow_id, priority, attempts, number + 1, max_attempts,
         version + 1, run_at,
         version + 1, -- the fencing token: versions of a job only grow
         $1
  from taken
),
counted as (
  insert into counter_delta (flow_id, user_id, queued, running)
  select flow_id, user_id, -count(*), count(*) from taken group by flow_id, user_id
),
told as (
  insert into outbox (user_id, ids)
  select user_id, array_agg(job_id) from taken group by user_id
)
select j.id, j.user_id, t.version + 1 as token, j.type, j.payload, t.number + 1 as number,
       t.attempts, t.max_attempts, j.backoff_strategy, j.backoff_base_ms, j.backoff_max_ms,
       j.backoff_jitter, j.timeout_ms
from taken t
join job j on j.id = t.job_id
order by t.rank, t.job_id
