-- When the longest waiting of one user's queued jobs became due. $1 user.
-- Among each flow's first thousand by rank: priorities reorder jobs within two aging steps only.
select min(run_at) as oldest
from (
  select r.run_at
  from flow f
  cross join lateral (
    select run_at from ready where flow_id = f.id order by rank, job_id limit 1000
  ) r
  where f.user_id = $1
  union all
  select g.run_at
  from queue q
  cross join lateral (
    select id from lane where queue_id = q.id and head is not null order by head limit 1000
  ) l
  cross join lateral (
    select run_at from gated where lane_id = l.id order by rank, job_id limit 100
  ) g
  where q.user_id = $1
) first
