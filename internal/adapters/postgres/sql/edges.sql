-- What these jobs wait for and what waits for them. $1 user, $2 jobs, $3 how many at most.
select parent_id, child_id
from (
  select d.*
  from unnest($2::uuid[]) as j(id)
  cross join lateral (
    select parent_id, child_id from dependency where child_id = j.id and user_id = $1 limit $3
  ) d
  union
  select d.*
  from unnest($2::uuid[]) as j(id)
  cross join lateral (
    select parent_id, child_id from dependency where parent_id = j.id and user_id = $1 limit $3
  ) d
) near
order by parent_id, child_id
limit $3
