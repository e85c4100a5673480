-- Whether a claim would find a job, were nobody else claiming. $1 routes, $2 users to pass over.
select exists (
  select from tenant
  where awake
    and user_id <> all($2::uuid[])
    and exists (
      select from flow f
      where f.user_id = tenant.user_id
        and f.awake
        and f.route = any($1::text[])
        -- a value, not another `exists`: as a join the planner may read all of ready
        and (select true from ready where flow_id = f.id and rank >= f.low limit 1)))
