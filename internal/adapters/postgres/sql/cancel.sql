-- Cancel waiting jobs, and ask running ones to stop. $1 user, $2 jobs.
-- Answers with those. Of the others each has finished, is unknown, or moved while this looked; the
-- caller looks again.
with from_blocked as (
  delete from blocked where user_id = $1 and job_id = any($2::uuid[]) returning *
),
from_scheduled as (
  delete from scheduled where user_id = $1 and job_id = any($2::uuid[]) returning *
),
from_gated as (
  delete from gated where user_id = $1 and job_id = any($2::uuid[]) returning *
),
from_ready as (
  delete from ready where user_id = $1 and job_id = any($2::uuid[]) returning *
),
taken as (
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         awaited, 1 as blocked, 0 as scheduled, 0 as queued
  from from_blocked
  union all
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         awaited, 0, 1, 0
  from from_scheduled
  union all
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         awaited, 0, 0, 1
  from from_gated
  union all
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         awaited, 0, 0, 1
  from from_ready
),
freed as (
  insert into gate_note (lane_id) select lane_id from from_ready where lane_id is not null
),
done as (
  insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                        version, run_at, awaited, status)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version + 1, run_at, awaited, 6
  from taken
),
noted as (
  insert into dependency_note (job_id, user_id) select job_id, user_id from taken where awaited
),
asked as (
  update lease
  set cancel_requested_at = now(), version = version + 1
  where user_id = $1
    and job_id = any($2::uuid[])
    and cancel_requested_at is null
  returning user_id, job_id
),
counted as (
  insert into counter_delta (flow_id, user_id, blocked, scheduled, queued, canceled)
  select flow_id, user_id, -sum(blocked), -sum(scheduled), -sum(queued), count(*)
  from taken
  group by flow_id, user_id
),
told as (
  -- more than a hundred at once are quicker read again: null
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from (select user_id, job_id from taken union all select user_id, job_id from asked) t
  group by user_id
  -- a value: as `exists` it is a join, which may read every listener
  having (select true from listener where user_id = t.user_id)
)
select job_id from taken
union all
select job_id from asked
union all
select job_id
from lease
where user_id = $1
  and job_id = any($2::uuid[])
  and cancel_requested_at is not null
