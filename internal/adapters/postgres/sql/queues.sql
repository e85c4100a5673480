-- One user's queues by name, with what they hold. $1 user, $2 only this one (or null), $3 after
-- this name, $4 how many.
-- Counts are folded counters plus what is not folded yet. ended, in measured_s seconds: of the last
-- five minutes, those of which there is something.
with page as materialized (
  select *
  from queue
  where user_id = $1
    and name > $3
    and ($2::text is null or name = $2)
  order by name
  limit $4
)
select q.name, q.paused, q.max_running, q.max_running_per_key,
       q.rate_limit, q.rate_per_ms, q.rate_burst,
       q.key_rate_limit, q.key_rate_per_ms, q.key_rate_burst,
       c.*, o.oldest, coalesce(e.ended, 0) as ended, coalesce(e.measured_s, 0) as measured_s
from page q
cross join lateral (
  select array(select id from flow where queue_id = q.id) as flows
) f
cross join lateral (
  select coalesce(sum(blocked), 0)::bigint as blocked,
         coalesce(sum(scheduled), 0)::bigint as scheduled,
         coalesce(sum(queued), 0)::bigint as queued,
         coalesce(sum(running), 0)::bigint as running,
         coalesce(sum(succeeded), 0)::bigint as succeeded,
         coalesce(sum(failed), 0)::bigint as failed,
         coalesce(sum(canceled), 0)::bigint as canceled
  from (
    select blocked, scheduled, queued, running, succeeded, failed, canceled
    from counter
    where flow_id = any(f.flows)
    union all
    select blocked, scheduled, queued, running, succeeded, failed, canceled
    from counter_delta
    where user_id = $1
      and flow_id = any(f.flows)
  ) noted
) c
cross join lateral (
  -- as in oldest.sql
  select min(run_at) as oldest
  from (
    select r.run_at
    from unnest(f.flows) as w(flow_id)
    cross join lateral (
      select run_at from ready where flow_id = w.flow_id order by rank, job_id limit 1000
    ) r
    union all
    select g.run_at
    from (
      select id from lane where queue_id = q.id and head is not null order by head limit 1000
    ) l
    cross join lateral (
      select run_at from gated where lane_id = l.id order by rank, job_id limit 100
    ) g
  ) first
) o
cross join lateral (
  select sum(ended)::bigint as ended,
         extract(epoch from now() - greatest(min(at), now() - interval '5 minutes'))::float8
           as measured_s
  from flow_minute
  where flow_id = any(f.flows)
    and at > now() - interval '5 minutes'
) e
order by q.name
