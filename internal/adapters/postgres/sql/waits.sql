-- How many waits fell into each bucket in each of the last 60 minutes. $1 user.
select at, bucket, sum(jobs)::int as jobs
from (
  select at, bucket, jobs
  from minute_wait
  where user_id = $1
    and at > now() - interval '60 minutes'
  union all
  select date_trunc('minute', at), unnest(waits), 1
  from counter_delta
  where user_id = $1
    and at > now() - interval '60 minutes'
    and waits is not null
) noted
group by at, bucket
