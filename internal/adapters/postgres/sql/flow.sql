-- The number of each flow, made on first use. $1 users, $2 a queue and $3 a route of each.
with wanted as (
  select * from unnest($1::uuid[], $2::text[], $3::text[]) as w(user_id, queue, route)
),
made as (
  insert into flow (user_id, queue, route)
  select user_id, queue, route from wanted order by user_id, queue, route
  on conflict do nothing
  returning id, user_id, queue, route
)
select id, user_id, queue, route from made
union
select f.id, f.user_id, f.queue, f.route
from flow f
join wanted w on w.user_id = f.user_id and w.queue = f.queue and w.route = f.route
