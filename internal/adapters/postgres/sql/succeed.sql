-- End attempts that succeeded and whose tokens still hold; the others change nothing. What finish.sql
-- does for every outcome, at two thirds of its cost. A column of values each: how long each ran and
-- how long ago it ended, in milliseconds; one token or result if all have the same; no progress if none
-- has.
with input as materialized (
  select job_id, ran_ms, ended_ms, progress, note,
         case when cardinality($2) = 1 then ($2)[1] else token end as token,
         case when cardinality($5) = 1 then ($5)[1] else result end as result
  from unnest($1::uuid[], $2::bigint[], $3::float8[], $4::float8[], $5::text[], $6::real[],
              $7::text[])
    as i(job_id, token, ran_ms, ended_ms, result, progress, note)
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
         g.lane_id, g.awaited,
         i.result, coalesce(i.progress, g.progress) as progress,
         coalesce(i.note, g.progress_note) as note,
         i.ran_ms,
         now() - (i.ended_ms + i.ran_ms) * interval '1 ms' as started_at,
         now() - i.ended_ms * interval '1 ms' as ended_at
  from gone g
  full join input i using (job_id, token) -- hashed, for the same reason
  where coalesce(g.version, 0) > 0
),
recorded as (
  insert into attempt (job_id, number, user_id, status, worker_id, result, progress,
                       progress_note, started_at, finished_at)
  select job_id, number, user_id, 1, worker_id, result::json, progress, note,
         started_at, ended_at
  from ended
),
done as (
  insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                        version, run_at, awaited, status, cancel_requested_at)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version, run_at, awaited, 4, cancel_requested_at
  from ended
),
by_flow as materialized (
  select flow_id, user_id, count(*) as jobs,
         count(*) filter (where awaited or lane_id is not null) as watched,
         -- as in finish.sql
         array_agg(ceil(4 * ln(greatest(
           1, date_part('epoch', started_at - run_at) * 1000)) / ln(2::float8))::smallint) as waits,
         sum(greatest(ran_ms, 1)) / 1000 as used,
         sum(charge) as charged
  from ended
  group by flow_id, user_id
),
watched as materialized (
  -- Most flushes have none, and do not go through their jobs once more to see that.
  select job_id, user_id, flow_id, awaited, lane_id
  from ended
  where (select sum(watched) > 0 from by_flow)
    and (awaited or lane_id is not null)
),
noted as (
  -- Others wait for the end of these.
  insert into dependency_note (job_id, user_id)
  select job_id, user_id from watched where awaited
  returning id
),
freed as (
  insert into gate_note (queue_id, freed)
  select (select queue_id from flow where id = flow_id), array_agg(distinct lane_id)
  from watched
  where lane_id is not null
  group by flow_id
  returning id
),
counted as (
  insert into counter_delta (flow_id, user_id, running, succeeded, waits, used, charged)
  select flow_id, user_id, -jobs, jobs, waits, used, charged from by_flow
),
told as (
  -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from ended
  -- Hashed, and a listener looked up once a queue: joined, it may be looked up for each job.
  where (user_id in (
    select user_id from by_flow
    where (select true from listener where user_id = by_flow.user_id))) is true
  group by user_id
  returning id
)
select exists (select from told) as told,
       exists (select from freed) as freed,
       exists (select from noted) as noted,
       array(select job_id from input
             where job_id not in (select job_id from ended)) as late
