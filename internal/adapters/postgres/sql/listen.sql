-- Have the changes of these users told for a while. $1 users, $2 how long.
-- The answer: those whose changes were not told until now.
with held as materialized (
  select user_id
  from listener
  where user_id = any($1::uuid[])
  order by user_id -- processes that renew the same users wait for each other in one order
  for update
),
renewed as (
  update listener
  set expires_at = greatest(expires_at, now() + $2::interval)
  where user_id = any(array(select user_id from held))
)
insert into listener (user_id, expires_at)
select user_id, now() + $2::interval
from unnest($1::uuid[]) as wanted(user_id)
where user_id not in (select user_id from held)
order by user_id
on conflict (user_id) do update set expires_at = excluded.expires_at
returning user_id
