-- One user's jobs by status: folded counters plus what is not folded yet, exact. $1 user.
select coalesce(sum(blocked), 0)::bigint as blocked,
       coalesce(sum(scheduled), 0)::bigint as scheduled,
       coalesce(sum(queued), 0)::bigint as queued,
       coalesce(sum(running), 0)::bigint as running,
       coalesce(sum(succeeded), 0)::bigint as succeeded,
       coalesce(sum(failed), 0)::bigint as failed,
       coalesce(sum(canceled), 0)::bigint as canceled,
       now() as server_time
from (
  select blocked, scheduled, queued, running, succeeded, failed, canceled
  from counter
  where user_id = $1
  union all
  select blocked, scheduled, queued, running, succeeded, failed, canceled
  from counter_delta
  where user_id = $1
) noted
