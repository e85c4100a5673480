-- The flow of each queue and route of one user, made on first use. $1 user, $2 queues, $3 routes.
with wanted as (
  select distinct queue, route from unnest($2::text[], $3::text[]) as w(queue, route)
),
made as (
  insert into flow (user_id, queue, route)
  select $1, queue, route from wanted order by queue, route
  on conflict do nothing
  returning id, queue, route
)
select id, queue, route from made
union
select f.id, f.queue, f.route
from flow f
join wanted w on w.queue = f.queue and w.route = f.route
where f.user_id = $1
