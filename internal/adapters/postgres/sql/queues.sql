-- One user's queues by name, with what they hold. $1 user, $2 only this one (or null), $3 after
-- this name, $4 how many.
-- Counts are folded counters plus what is not folded yet. work_s: the slot time that is left, by what
-- such jobs took lately; null while there are some of which none has ended, or which nobody runs.
with page as materialized (
  select *
  from queue
  where user_id = $1
    and name > $3
    and ($2::text is null or name = $2)
    -- One that was deleted is there again while it has work: a finished job may have been retried.
    and case when retired then (select unfinished from jobs_of_queue(id)) > 0 else true end
  order by name
  limit $4
)
select q.name, q.paused, q.max_running, q.max_running_per_key,
       q.rate_limit, q.rate_per_ms, q.rate_burst,
       q.key_rate_limit, q.key_rate_per_ms, q.key_rate_burst,
       c.*, o.oldest, s.slots, s.free,
       exists (select from lane where queue_id = q.id and head is not null) as held_up
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
         coalesce(sum(canceled), 0)::bigint as canceled,
         case when bool_and(
             queued + running = 0
             or w.ran_s is not null
                and (queued = 0 or exists (
                  select from worker where expires_at > now() and w.route = any(routes))))
           then sum((queued + running / 2.0) * w.ran_s)::float8 end as work_s
  from (
    select flow_id, sum(blocked) as blocked, sum(scheduled) as scheduled, sum(queued) as queued,
           sum(running) as running, sum(succeeded) as succeeded, sum(failed) as failed,
           sum(canceled) as canceled
    from (
      select flow_id, blocked, scheduled, queued, running, succeeded, failed, canceled
      from counter
      where flow_id = any(f.flows)
      union all
      select flow_id, blocked, scheduled, queued, running, succeeded, failed, canceled
      from counter_delta
      where user_id = $1
        and flow_id = any(f.flows)
    ) noted
    group by flow_id
  ) n
  cross join lateral (select route, ran_s from flow where id = n.flow_id limit 1) w
) c
cross join lateral (
  select coalesce(sum(slots), 0)::int as slots,
         coalesce(sum(greatest(slots - running, 0)), 0)::int as free
  from worker
  where expires_at > now() and routes && array(select route from flow where id = any(f.flows))
) s
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
order by q.name
