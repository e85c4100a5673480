-- Forget finished jobs whose time is over, with history and keys.
-- $1 how long succeeded and canceled ones are kept, $2 failed ones, $3 how many at most.
-- Only of days that are over as a whole, as those with many jobs are retired at once (retire_day).
with over as materialized (
  select ctid as place, job_id
  from finished
  where job_id < day_floor(((now() - least($1::interval, $2::interval)) at time zone 'UTC')::date)
    and since < now() - case when status = 5 then $2::interval else $1::interval end
    and not (awaited and is_needed(user_id, job_id))
  limit $3
  for update skip locked
),
taken as (
  delete from finished
  -- by place, as in claim.sql; the job as well, since partitions number their places alike
  where ctid = any(array(select place from over))
    and job_id = any(array(select job_id from over))
  returning job_id, flow_id, user_id, status, awaited
),
gone as (
  delete from job
  where id = any(array(select job_id from taken))
  returning id, user_id, idempotency_key, parents
),
apart as (
  delete from dependency
  where child_id = any(array(select id from gone where parents > 0))
     or parent_id = any(array(select job_id from taken where awaited))
),
history as (
  delete from attempt where job_id = any(array(select job_id from taken))
),
lines as (
  delete from attempt_log where job_id = any(array(select job_id from taken))
),
replays as (
  delete from replay where job_id = any(array(select job_id from taken))
),
payloads as (
  delete from past_payload where job_id = any(array(select job_id from taken))
),
free as (
  delete from idempotency i
  using gone g
  where i.user_id = g.user_id
    and i.key = g.idempotency_key
),
counted as (
  insert into counter_delta (flow_id, user_id, succeeded, failed, canceled)
  select flow_id, user_id, -count(*) filter (where status = 4),
         -count(*) filter (where status = 5), -count(*) filter (where status = 6)
  from taken
  group by flow_id, user_id
)
select count(*) from taken
