-- Queue a failed or canceled job again with at least one attempt left.
-- $1 user, $2 job, $3 aging step. No row: it is not in such a state.
with taken as (
  delete from finished
  where user_id = $1
    and job_id = $2
    and status in (5, 6)
  returning *
),
lined as materialized (
  select t.*,
         case when f.limited or j.concurrency_key is not null or j.rate_key is not null
              then lane_of(f.id, coalesce(j.concurrency_key, ''), coalesce(j.rate_key, ''))
         end as lane_id
  from taken t
  cross join lateral (select id, limited from flow where id = t.flow_id limit 1) f
  cross join lateral (
    select concurrency_key, rate_key from job where id = t.job_id and user_id = $1 limit 1
  ) j
),
queued as (
  insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, awaited, rank)
  select job_id, user_id, flow_id, priority, attempts, number,
         greatest(max_attempts, attempts + 1), version + 1, now(), awaited,
         now() + priority * $3::interval
  from lined
  where lane_id is null
),
held as (
  insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, lane_id, awaited, rank)
  select job_id, user_id, flow_id, priority, attempts, number,
         greatest(max_attempts, attempts + 1), version + 1, now(), lane_id, awaited,
         now() + priority * $3::interval
  from lined
  where lane_id is not null
),
noted as (
  insert into gate_note (lane_id) select lane_id from lined where lane_id is not null
),
replayed as (
  insert into replay (job_id, user_id, from_status, after_attempt)
  select job_id, user_id, status, number from taken
),
counted as (
  insert into counter_delta (flow_id, user_id, queued, failed, canceled)
  select flow_id, user_id, 1, -(status = 5)::int, -(status = 6)::int from taken
),
told as (
  insert into outbox (user_id, ids)
  select user_id, array[job_id]
  from taken t
  -- a value: as `exists` it is a join, which may read every listener
  where (select true from listener where user_id = t.user_id)
)
select job_id from taken
