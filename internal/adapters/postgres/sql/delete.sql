-- Forget a finished job with its history and key. $1 user, $2 job. No row: it has not finished.
with taken as (
  delete from finished
  where user_id = $1
    and job_id = $2
  returning *
),
gone as (
  delete from job
  -- not `id in (select job_id from taken)`: for a join the planner may read all jobs
  where id = $2
    and user_id = $1 -- so that every index on jobs serves it
    and exists (select from taken)
  returning idempotency_key
),
history as (
  delete from attempt
  where job_id = $2
    and exists (select from taken)
),
lines as (
  delete from attempt_log
  where job_id = $2
    and exists (select from taken)
),
replays as (
  delete from replay
  where job_id = $2
    and exists (select from taken)
),
payloads as (
  delete from past_payload
  where job_id = $2
    and exists (select from taken)
),
free as (
  delete from idempotency
  where user_id = $1
    and key = (select idempotency_key from gone)
),
counted as (
  insert into counter_delta (flow_id, user_id, succeeded, failed, canceled)
  select flow_id, user_id, -(status = 4)::int, -(status = 5)::int, -(status = 6)::int from taken
),
told as (
  -- Nothing to name: the job has no picture any more.
  insert into outbox (user_id)
  select user_id
  from taken t
  -- a value: as `exists` it is a join, which may read every listener
  where (select true from listener where user_id = t.user_id)
)
select job_id from taken
