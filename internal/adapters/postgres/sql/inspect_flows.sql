-- Which of a slice of the flows hide queued jobs from claims. $1 how many flows, $2 flow that the
-- slice before ended with.
with slice as materialized (
  select f.id, f.user_id, f.queue, f.route, f.awake, f.low, f.paused or f.regating as is_closed,
         t.awake as is_user_awake
  from flow f
  left join tenant t on t.user_id = f.user_id
  where f.id > $2
  order by f.id
  limit $1
),
waiting as materialized (
  select s.*, r.rank
  from slice s
  cross join lateral (
    select rank from ready where flow_id = s.id order by rank limit 1
  ) r
),
served as (
  -- Whoever tends the flows may not yet know of a worker that has just come.
  select distinct route
  from worker, unnest(routes) as route
  where expires_at > now()
    and started_at < now() - interval '10 seconds'
),
breach as (
  select 6 as number, format('queue %s (%s) sleeps, and has queued jobs', queue, id) as what
  from waiting where not awake and not is_closed
  union all
  select 6, format('queue %s (%s) begins at %s, and has a job queued for %s', queue, id, low, rank)
  from waiting where awake and low > rank
  union all
  select 6, format('user %s sleeps, and has jobs in queue %s (%s) that a worker serves',
                   user_id, queue, id)
  from waiting
  where not coalesce(is_user_awake, false)
    and not is_closed
    and route in (select route from served)
)
select s.id,
       array(select number from breach order by what, number) as numbers,
       array(select what from breach order by what, number) as texts
from slice s
order by s.id desc
limit 1
