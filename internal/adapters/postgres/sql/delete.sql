-- Forget finished jobs with their histories and keys. $1 user, $2 jobs in order.
-- Answers with those that had finished and that no unfinished job needs.
with taken as (
  delete from finished
  where user_id = $1
    and job_id = any($2::uuid[])
    -- as in retry.sql, here and below
    and job_id >= ($2::uuid[])[1]
    and job_id <= ($2::uuid[])[cardinality($2::uuid[])]
    and status in (4, 5, 6)
    and not (awaited and is_needed(user_id, job_id))
  returning *
),
gone as (
  delete from job
  -- not `id in (select job_id from taken)`: for a join the planner may read all jobs
  where id = any(array(select job_id from taken))
    and id >= ($2::uuid[])[1]
    and id <= ($2::uuid[])[cardinality($2::uuid[])]
    and user_id = $1 -- so that every index on jobs serves it
  returning idempotency_key
),
history as (
  delete from attempt
  where job_id = any(array(select job_id from taken))
    and job_id >= ($2::uuid[])[1]
    and job_id <= ($2::uuid[])[cardinality($2::uuid[])]
),
lines as (
  delete from attempt_log
  where job_id = any(array(select job_id from taken))
    and job_id >= ($2::uuid[])[1]
    and job_id <= ($2::uuid[])[cardinality($2::uuid[])]
),
replays as (
  delete from replay where job_id = any(array(select job_id from taken))
),
payloads as (
  delete from past_payload where job_id = any(array(select job_id from taken))
),
apart as (
  delete from dependency
  where child_id = any(array(select job_id from taken))
     or parent_id = any(array(select job_id from taken))
),
free as (
  delete from idempotency
  where user_id = $1
    and key = any(array(select idempotency_key from gone))
),
counted as (
  insert into counter_delta (flow_id, user_id, succeeded, failed, canceled)
  select flow_id, user_id, -count(*) filter (where status = 4),
         -count(*) filter (where status = 5), -count(*) filter (where status = 6)
  from taken
  group by flow_id, user_id
),
told as (
  -- Nothing to name: the jobs have no picture any more.
  insert into outbox (user_id)
  select user_id
  from taken t
  group by user_id
  -- a value: as `exists` it is a join, which may read every listener
  having (select true from listener where user_id = t.user_id)
)
select job_id from taken
