-- Forget a finished job with its history and key. $1 user, $2 job. No row: it has not finished.
with taken as (
  delete from finished
  where user_id = $1
    and job_id = $2
  returning *
),
gone as (
  delete from job
  where id in (select job_id from taken)
  returning user_id, idempotency_key
),
history as (
  delete from attempt where job_id in (select job_id from taken)
),
free as (
  delete from idempotency i
  using gone g
  where i.user_id = g.user_id
    and i.key = g.idempotency_key
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
  where exists (select from listener where user_id = t.user_id)
)
select job_id from taken
