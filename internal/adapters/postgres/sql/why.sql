-- Where a job stands and what goes before it. $1 user, $2 job, $3 how far to count.
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
select p.status, p.run_at, p.lane_id, j.queue, j.type, now() as now,
       f.paused, f.cost,
       (select true from worker where expires_at > now() and f.route = any(routes) limit 1) as served,
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
       e.ended, e.measured_s,
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
cross join lateral (select * from queue where id = f.queue_id limit 1) q
cross join lateral (
  select sum(ended)::float8 as ended,
         extract(epoch from now() - greatest(min(at), now() - interval '5 minutes'))::float8
           as measured_s
  from flow_minute
  where flow_id = any(array(select id from flow where queue_id = q.id))
    and at > now() - interval '5 minutes'
) e
left join lateral lane_rooms(q, array[p.lane_id], clock_timestamp()) l on p.lane_id is not null
left join lateral through_gate(q, array(select id from flow where queue_id = q.id)) t
  on p.lane_id is not null
-- a job that moves while this looks may be seen twice
order by p.status
limit 1
