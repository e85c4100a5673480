-- Since when workers cannot read the payloads of jobs, and how many in a row. $1 jobs, $2 how the
-- error of such an attempt begins.
select j.id as job_id, m.attempts, extract(epoch from now() - m.first)::float8 as waited_s
from unnest($1::uuid[]) as j(id)
cross join lateral (
  select count(*) as attempts, min(started_at) as first
  from attempt a
  where job_id = j.id
    and starts_with(error, $2)
    and number > coalesce((
      select max(number) from attempt
      where job_id = j.id and not coalesce(starts_with(error, $2), false)), 0)
) m
