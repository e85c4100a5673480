-- End attempts that succeeded and whose tokens still hold; the others change nothing. What finish.sql
-- does for every outcome, at two thirds of its cost. A column of values each; times are milliseconds
-- before now.
with input as materialized (
  select *
  from unnest($1::uuid[], $2::bigint[], $3::float8[], $4::float8[], $5::text[], $6::real[])
    as i(job_id, token, started_ms, ended_ms, result, progress)
),
gone as (
  -- Not a join with the input: where estimates are old it may compare each with each.
  delete from lease
  where job_id = any($1::uuid[])
    and ((job_id, token) in (select job_id, token from input)) is true
  returning *
),
ended as materialized (
  select g.job_id, g.user_id, g.flow_id, g.priority, g.attempts, g.number, g.max_attempts,
         g.version + 1 as version, g.run_at, g.cancel_requested_at, g.worker_id, g.charge,
         i.result, coalesce(i.progress, g.progress) as progress,
         i.started_ms - i.ended_ms as ran_ms,
         now() - i.started_ms * interval '1 ms' as started_at,
         now() - i.ended_ms * interval '1 ms' as ended_at
  from gone g
  full join input i using (job_id, token) -- hashed, for the same reason
  where coalesce(g.version, 0) > 0
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
  -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from ended t
  where exists (select from listener where user_id = t.user_id)
  group by user_id
  returning id
)
select job_id, 4::smallint as status, exists (select from told) as told from ended
