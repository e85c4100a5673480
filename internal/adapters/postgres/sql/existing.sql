-- The jobs that idempotency keys already name. $1 users, $2 a key of each.
select i.user_id, i.key, i.request_hash, i.job_id, s.status, s.run_at, j.created_at
from unnest($1::uuid[], $2::text[]) as w(user_id, key)
join idempotency i on i.user_id = w.user_id and i.key = w.key
join job j on j.id = i.job_id
cross join lateral (
  -- as in summaries.sql
  select * from job_state where job_id = i.job_id and user_id = i.user_id limit 1
) s
