-- The number of each flow, made on first use. $1 users, $2 a queue and $3 a route of each.
with wanted as materialized (
  select * from unnest($1::uuid[], $2::text[], $3::text[]) as w(user_id, queue, route)
),
missing as materialized (
  select w.*
  from wanted w
  left join flow f on f.user_id = w.user_id and f.queue = w.queue and f.route = w.route
  where f.id is null
),
queues as (
  insert into queue (user_id, name)
  select distinct user_id, queue from missing order by user_id, queue
  -- not `do nothing`: the lock keeps settings from changing before the flow is there to have them
  on conflict (user_id, name) do update set name = excluded.name
  returning *
),
made as (
  insert into flow (user_id, queue, route, queue_id, paused, limited)
  select m.user_id, m.queue, m.route, q.id, q.paused, q.limited
  from missing m
  join queues q on q.user_id = m.user_id and q.name = m.queue
  order by m.user_id, m.queue, m.route
  on conflict do nothing
  returning id, user_id, queue, route
)
select id, user_id, queue, route from made
union
select f.id, f.user_id, f.queue, f.route
from flow f
join wanted w on w.user_id = f.user_id and w.queue = f.queue and w.route = f.route
