-- A page of a user's failures, counted over the jobs that stand as failed: an index holds all that
-- is read of them, and nothing else. $1 user, $2 count and $3 fingerprint that the page begins
-- behind, null for the first one, $4 how many.
with groups as (
  select coalesce(fingerprint, 0) as fingerprint, count(*) as count,
         min(since) as first_seen, max(since) as last_seen
  from finished
  where user_id = $1
    and status = 5
  group by 1
)
select g.fingerprint, f.type, f.message, g.count, g.first_seen, g.last_seen
from groups g
left join failure f on f.user_id = $1 and f.fingerprint = g.fingerprint
where $2::bigint is null
   or (g.count, g.fingerprint) < ($2::bigint, $3::bigint)
order by g.count desc, g.fingerprint desc
limit $4
