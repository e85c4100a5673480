-- What ended in each of the last 60 minutes. $1 user.
select at, sum(succeeded)::int as succeeded, sum(failed)::int as failed
from (
  select at, succeeded, failed
  from minute
  where user_id = $1
    and at > now() - interval '60 minutes'
  union all
  select date_trunc('minute', at), greatest(succeeded, 0), greatest(failed, 0)
  from counter_delta
  where user_id = $1
    and at > now() - interval '60 minutes'
) noted
group by at
