-- Where a job stands and what goes before it. $1 user, $2 job, $3 how far to count, and of the jobs
-- that run, $4 how many to look at.
with place as materialized (
  select 0::smallint as status, flow_id, run_at, null::int as lane_id, null::timestamptz as rank
  from blocked where user_id = $1 and job_id = $2
  union all
  select 1, flow_id, run_at, null, null from scheduled where user_id = $1 and job_id = $2
  union all
  select 2, flow_id, run_at, lane_id, rank from gated where user_id = $1 and job_id = $2
  union all
  select 2, flow_id, run_at, null, rank from ready where user_id = $1 and job_id = $2
  union all
  select 3, flow_id, run_at, null, null from lease where user_id = $1 and job_id = $2
  union all
  select status, flow_id, run_at, null, null
  from finished where user_id = $1 and status in (4, 5, 6) and job_id = $2
)
select p.status,
       -- as in get.sql
       least(greatest(p.run_at, '0002-01-01'), '9998-12-31') as run_at,
       p.lane_id, j.queue, j.type, now() as now,
       f.paused, f.route,
       p.status = 1 and exists (select from hold where job_id = $2) as is_held,
       f.ran_s as cost, w.slots, w.free as free_slots,
       (select coalesce(sum(running), 0)::int
        from (
          select running from counter where flow_id = p.flow_id
          union all
          select running from counter_delta where user_id = $1 and flow_id = p.flow_id
        ) claimed) as at_once,
       case when p.lane_id is not null then array(
         select extract(epoch from now() - since)::float8
         from (
           select since from lease where flow_id = any(q.flows) and lane_id is not null
           union all
           select since from hold where flow_id = any(q.flows) and lane_id is not null
         ) r
         order by since
         limit $4
       ) end as running,
       case when l.concurrency_key <> '' then array(
         select extract(epoch from now() - since)::float8
         from (
           select flow_id, lane_id, since from lease
           union all
           select flow_id, lane_id, since from hold
         ) r
         where flow_id = any(q.flows)
           and lane_id = any(array(
             select id from lane where queue_id = q.id and concurrency_key = l.concurrency_key))
         order by since
         limit $4
       ) end as running_of_key,
       case when p.status = 0 then array(
         select parent_id::text from dependency
         where child_id = $2 and status is null
         order by parent_id
       ) end as waits_for,
       case when p.lane_id is null
            then (select count(*) from (
                    select from ready
                    where flow_id = p.flow_id and (rank, job_id) < (p.rank, $2) limit $3) r)
            else (select count(*) from (
                    select
                    from (select id from lane where queue_id = q.id and head <= p.rank) l
                    cross join lateral (
                      select from gated
                      where lane_id = l.id and (rank, job_id) < (p.rank, $2) limit $3) g
                    limit $3) r)
       end as ahead,
       (select count(*) from (
          select from gated
          where lane_id = p.lane_id and (rank, job_id) < (p.rank, $2) limit $3) g) as ahead_of_key,
       l.concurrency_key, l.rate_key,
       q.max_running, q.max_running - t.queued - t.running as free,
       q.rate_limit * 1000.0::float8 / q.rate_per_ms as tokens_per_s,
       case when q.rate_limit is not null then
         tokens_of(q.id, '', q.rate_limit, q.rate_per_ms, q.rate_burst, t.queued, t.started,
                   t.last_start, clock_timestamp()) end as tokens,
       q.max_running_per_key, l.free as key_free, l.tokens as key_tokens,
       q.key_rate_limit * 1000.0::float8 / q.key_rate_per_ms as key_tokens_per_s
from place p
cross join lateral (select queue, type from job where id = $2 and user_id = $1 limit 1) j
cross join lateral (select * from flow where id = p.flow_id limit 1) f
cross join lateral (
  select *, array(select id from flow where queue_id = queue.id) as flows
  from queue
  where id = f.queue_id
  limit 1
) q
cross join lateral (
  select coalesce(sum(slots), 0)::int as slots,
         coalesce(sum(greatest(slots - running, 0)), 0)::int as free
  from worker
  where expires_at > now() and f.route = any(routes)
) w
left join lateral (select * from queue where id = f.queue_id limit 1) g on p.lane_id is not null
left join lateral lane_rooms(g, array[p.lane_id], clock_timestamp()) l on p.lane_id is not null
left join lateral through_gate(g, q.flows) t on p.lane_id is not null
-- a job that moves while this looks may be seen twice
order by p.status
limit 1
