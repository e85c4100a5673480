-- A worker begins; gates look again at what waits for its routes. $1 worker, $2 slots, $3 routes,
-- $4 ttl.
with begun as (
  insert into worker (id, slots, routes, expires_at)
  values ($1, $2, $3, now() + $4::interval)
)
insert into gate_note (queue_id)
select distinct l.queue_id
from lane l
join flow f on f.id = l.flow_id
where l.open
  and l.head is not null
  and f.route = any($3::text[])
