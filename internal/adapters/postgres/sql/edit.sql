-- Give a job another payload, unless it runs or has succeeded. $1 user, $2 job, $3 payload.
-- No row: it is in no such state, is unknown, or moved while this looked; the caller looks again.
with from_ready as (
  -- A row of ready is replaced, never updated: a claim that is under way reads payloads as they
  -- were when it began, so it must not get this job. It waits for the commit and finds the row gone.
  delete from ready where user_id = $1 and job_id = $2 returning *
),
queued as (
  insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, lane_id, awaited, rank)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version + 1, run_at, lane_id, awaited, rank
  from from_ready
  returning job_id, user_id, number
),
in_scheduled as (
  update scheduled
  set version = version + 1, since = now()
  where user_id = $1
    and job_id = $2
  returning job_id, user_id, number
),
in_gated as (
  update gated
  set version = version + 1, since = now()
  where user_id = $1
    and job_id = $2
  returning job_id, user_id, number
),
in_blocked as (
  update blocked
  set version = version + 1, since = now()
  where user_id = $1
    and job_id = $2
  returning job_id, user_id, number
),
in_finished as (
  -- since stays: it is when the job finished
  update finished
  set version = version + 1
  where user_id = $1
    and job_id = $2
    and status in (5, 6)
  returning job_id, user_id, number
),
edited as (
  select * from queued
  union all
  select * from in_scheduled
  union all
  select * from in_gated
  union all
  select * from in_blocked
  union all
  select * from in_finished
),
kept as (
  -- Of several edits between two attempts the first has replaced what ran, or was submitted.
  insert into past_payload (job_id, attempt, user_id, payload)
  select e.job_id, e.number, e.user_id, j.payload
  from edited e
  cross join lateral (
    select payload from job where id = e.job_id and user_id = e.user_id limit 1
  ) j
  on conflict do nothing
),
replaced as (
  update job
  set payload = $3::text::json
  where id = $2
    and user_id = $1
    and exists (select from edited)
),
told as (
  insert into outbox (user_id, ids)
  select user_id, array[job_id]
  from edited t
  -- a value: as `exists` it is a join, which may read every listener
  where (select true from listener where user_id = t.user_id)
)
select job_id from edited
