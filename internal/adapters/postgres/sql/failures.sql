-- A page of a user's failures, counted over the jobs that stand as failed: an index holds all that
-- is read of them, and nothing else. $1 user, $2 count and $3 fingerprint that the page begins
-- behind, null for the first one, $4 how many.
with page as materialized (
  select *
  from (
    select coalesce(fingerprint, 0) as fingerprint, count(*) as count,
           min(since) as first_seen, max(since) as last_seen
    from finished
    where user_id = $1
      and status = 5
    group by 1
  ) groups
  where $2::bigint is null
     or (count, fingerprint) < ($2::bigint, $3::bigint)
  order by count desc, fingerprint desc
  limit $4
)
select p.fingerprint, f.type, f.message, p.count, p.first_seen, p.last_seen
from page p
left join lateral (
  select type, message
  from failure
  where user_id = $1
    and fingerprint = p.fingerprint
  limit 1 -- looked up for each: joined, all failures of the user may be hashed
) f on true
order by p.count desc, p.fingerprint desc
