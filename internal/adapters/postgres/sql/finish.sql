-- End attempts whose tokens still hold and move their jobs on; the others change nothing.
-- $1 aging step, then a column of values each. A null outcome hands a job back that never started:
-- no attempt is kept and its number is free again. Times are milliseconds before now.
with ended as (
  delete from lease l
  using unnest($2::uuid[], $3::bigint[], $4::smallint[], $5::smallint[], $6::int[],
               $7::float8[], $8::float8[], $9::float8[], $10::text[], $11::text[], $12::real[])
    as i(job_id, token, outcome, status, attempts,
         delay_ms, started_ms, ended_ms, error, result, progress)
  where l.job_id = i.job_id
    and l.token = i.token
    -- says the same once more: else the planner may read all leases to join some hundred
    and l.job_id = any(array(select unnest($2::uuid[])))
  returning l.job_id, l.user_id, l.flow_id, l.priority, l.max_attempts, l.cancel_requested_at,
            l.charge,
            l.worker_id, l.version + 1 as version, l.run_at as was_due,
            i.attempts, i.outcome, i.error, i.result, coalesce(i.progress, l.progress) as progress,
            l.number - (i.outcome is null)::int as number,
            -- the cancel may have been asked for after the worker decided
            case when l.cancel_requested_at is not null and i.status <> 4 then 6
                 else i.status end as status,
            case when i.outcome is null then l.run_at
                 else now() + make_interval(secs => (i.delay_ms - i.ended_ms) / 1000) end as run_at,
            now() - make_interval(secs => i.started_ms / 1000) as started_at,
            now() - make_interval(secs => i.ended_ms / 1000) as ended_at,
            -- the slot time that counts: a millisecond at least, none if it never started
            case when i.outcome is not null
                 then greatest(i.started_ms - i.ended_ms, 1) / 1000 else 0 end as used
),
recorded as (
  insert into attempt (job_id, number, user_id, status, worker_id, error, result, progress,
                       started_at, finished_at)
  select job_id, number, user_id, outcome, worker_id, error, result::json, progress,
         started_at, ended_at
  from ended
  where outcome is not null
),
done as (
  insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                        version, run_at, status, cancel_requested_at)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version, was_due, status, cancel_requested_at
  from ended
  where status >= 4
),
waiting as (
  insert into scheduled (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                         version, run_at)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at
  from ended
  where status = 1
),
queued as (
  insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, rank)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version, run_at, run_at + priority * $1::interval
  from ended
  where status = 2
),
counted as (
  insert into counter_delta (flow_id, user_id, running, scheduled, queued, succeeded, failed,
                             canceled, waits, used, charged)
  select flow_id, user_id, -count(*),
         count(*) filter (where status = 1), count(*) filter (where status = 2),
         count(*) filter (where status = 4), count(*) filter (where status = 5),
         count(*) filter (where status = 6),
         -- buckets of a quarter doubling, in milliseconds (domain/stats.py)
         array_agg(ceil(4 * ln(greatest(
             1, extract(epoch from started_at - was_due)::float8 * 1000)) / ln(2::float8))::smallint)
           filter (where outcome is not null),
         sum(used), sum(charge)
  from ended
  group by flow_id, user_id
),
told as (
  insert into outbox (user_id, ids)
  select user_id, array_agg(job_id) from ended group by user_id
)
select job_id, status from ended
