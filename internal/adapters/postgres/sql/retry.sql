-- Queue a failed or canceled job again with at least one attempt left.
-- $1 user, $2 job, $3 aging step. No row: it is not in such a state.
with taken as (
  delete from finished
  where user_id = $1
    and job_id = $2
    and status in (5, 6)
  returning *
),
queued as (
  insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, rank)
  select job_id, user_id, flow_id, priority, attempts, number,
         greatest(max_attempts, attempts + 1), version + 1, now(), now() + priority * $3::interval
  from taken
),
counted as (
  insert into counter_delta (flow_id, user_id, queued, failed, canceled)
  select flow_id, user_id, 1, -(status = 5)::int, -(status = 6)::int from taken
),
told as (
  insert into outbox (user_id, ids)
  select user_id, array[job_id]
  from taken t
  -- a value: as `exists` it is a join, which may read every listener
  where (select true from listener where user_id = t.user_id)
)
select job_id from taken
