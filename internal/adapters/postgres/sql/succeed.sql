-- End attempts that succeeded and whose tokens still hold; the others change nothing. What finish.sql
-- does for every outcome, at two thirds of its cost. A column of values each; times are milliseconds
-- before now.
with ended as (
  delete from lease l
  using unnest($1::uuid[], $2::bigint[], $3::float8[], $4::float8[], $5::text[], $6::real[])
    as i(job_id, token, started_ms, ended_ms, result, progress)
  where l.job_id = i.job_id
    and l.token = i.token
    -- says the same once more: else the planner may read all leases to join some hundred
    and l.job_id = any(array(select unnest($1::uuid[])))
  returning l.job_id, l.user_id, l.flow_id, l.priority, l.attempts, l.number, l.max_attempts,
            l.version + 1 as version, l.run_at, l.cancel_requested_at, l.worker_id, l.charge,
            i.result, coalesce(i.progress, l.progress) as progress,
            i.started_ms - i.ended_ms as ran_ms,
            now() - i.started_ms * interval '1 ms' as started_at,
            now() - i.ended_ms * interval '1 ms' as ended_at
),
recorded as (
  insert into attempt (job_id, number, user_id, status, worker_id, result, progress,
                       started_at, finished_at)
  select job_id, number, user_id, 1, worker_id, result::json, progress, started_at, ended_at
  from ended
),
done as (
  insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                        version, run_at, status, cancel_requested_at)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version, run_at, 4, cancel_requested_at
  from ended
),
counted as (
  insert into counter_delta (flow_id, user_id, running, succeeded, waits, used, charged)
  select flow_id, user_id, -count(*), count(*),
         -- as in finish.sql
         array_agg(ceil(4 * ln(greatest(
           1, extract(epoch from started_at - run_at)::float8 * 1000)) / ln(2::float8))::smallint),
         sum(greatest(ran_ms, 1)) / 1000, sum(charge)
  from ended
  group by flow_id, user_id
),
told as (
  insert into outbox (user_id, ids)
  select user_id, array_agg(job_id) from ended group by user_id
)
select job_id, 4::smallint as status from ended
