-- The jobs that idempotency keys already name. $1 user, $2 keys.
select i.key, i.request_hash, i.job_id, s.status, s.run_at, j.created_at
from idempotency i
join job j on j.id = i.job_id
cross join lateral (
  -- as in summaries.sql
  select * from job_state where job_id = i.job_id and user_id = $1 limit 1
) s
where i.user_id = $1
  and i.key = any($2::text[])
