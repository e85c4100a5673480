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
        and (select true from ready where flow_id = f.id order by rank, job_id limit 1)))
