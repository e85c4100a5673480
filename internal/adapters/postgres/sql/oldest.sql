-- When the longest waiting of one user's queued jobs became due. $1 user.
-- Among each flow's first thousand by rank: priorities reorder jobs within two aging steps only.
select min(r.run_at) as oldest
from flow f
cross join lateral (
  select run_at
  from ready
  where flow_id = f.id
  order by rank, job_id
  limit 1000
) r
where f.user_id = $1
