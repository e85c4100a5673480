-- How many unfinished jobs each user has: folded counters plus what is not folded yet. $1 users.
select w.user_id, coalesce(sum(noted.jobs), 0)::bigint as jobs
from unnest($1::uuid[]) as w(user_id)
left join lateral (
  select blocked + scheduled + queued + running as jobs
  from counter
  where user_id = w.user_id
  union all
  select blocked + scheduled + queued + running
  from counter_delta
  where user_id = w.user_id
) noted on true
group by w.user_id
