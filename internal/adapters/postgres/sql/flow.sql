-- The number of each flow that is in use. $1 users, $2 a queue and $3 a route of each.
select f.id, f.user_id, f.queue, f.route
from unnest($1::uuid[], $2::text[], $3::text[]) as w(user_id, queue, route)
join flow f on f.user_id = w.user_id and f.queue = w.queue and f.route = w.route
where not f.retired
