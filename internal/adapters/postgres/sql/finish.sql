-- End attempts whose tokens still hold and move their jobs on; the others change nothing.
-- $1 aging step, then a column of values each: how long the job has to wait, how long each ran and
-- how long ago it ended, in milliseconds. A null outcome hands a job back that never started, or
-- ends it with its error for the reason: no attempt is kept and its number is free again.
-- held: its work goes on, and holds its place until let_go.sql. route: the job goes on by another
-- flow of its queue; null is the same.
with input as materialized (
  select *
  from unnest($2::uuid[], $3::bigint[], $4::smallint[], $5::smallint[], $6::int[],
              $7::float8[], $8::float8[], $9::float8[], $10::text[], $11::text[], $12::real[],
              $13::text[], $14::bigint[], $15::boolean[], $16::text[])
    as i(job_id, token, outcome, status, attempts,
         delay_ms, ran_ms, ended_ms, error, result, progress,
         note, fingerprint, held, route)
),
gone as (
  -- Not a join with the input: where estimates are old it may compare each with each.
  delete from lease
  where job_id = any($2::uuid[])
    and ((job_id, token) in (select job_id, token from input)) is true
  returning *
),
moves as materialized (
  -- In one order, and so the lanes: those who make the same flows wait for each other.
  select *, flow_beside(flow_id, route) as to_flow
  from (
    select distinct flow_id, route
    from gone
    join input using (job_id, token)
    where (select true from input where route is not null limit 1)
      and route is not null
      and cancel_requested_at is null
      and status < 4
    order by 1, 2
  ) m
),
moved_lanes as materialized (
  select m.flow_id, m.route, m.was_lane,
         lane_of(m.to_flow, l.concurrency_key, l.rate_key) as to_lane
  from (
    select distinct m.*, g.lane_id as was_lane
    from moves m
    join gone g using (flow_id)
    where g.lane_id is not null
    order by flow_id, route, was_lane
  ) m
  join lane l on l.id = m.was_lane
),
ended as materialized (
  select g.job_id, g.user_id, coalesce(m.to_flow, g.flow_id) as flow_id, g.flow_id as was_flow,
         g.priority, g.max_attempts, g.cancel_requested_at,
         g.worker_id, g.charge, g.token, g.since, g.version + 1 as version, g.run_at as was_due,
         coalesce(l.to_lane, g.lane_id) as lane_id, g.lane_id as was_lane, g.awaited, i.held,
         i.attempts, i.outcome, i.error, i.result, i.fingerprint,
         coalesce(i.progress, g.progress) as progress,
         coalesce(i.note, g.progress_note) as note,
         g.number - (i.outcome is null)::int as number,
         -- the cancel may have been asked for after the worker decided
         case when g.cancel_requested_at is not null and i.status <> 4 then 6
              else i.status end as status,
         case when i.outcome is null then g.run_at
              else now() + (i.delay_ms - i.ended_ms) * interval '1 ms' end as run_at,
         now() - (i.ended_ms + i.ran_ms) * interval '1 ms' as started_at,
         now() - i.ended_ms * interval '1 ms' as ended_at,
         -- the slot time that counts, in seconds: a millisecond at least, none if it never started
         case when i.outcome is not null
              then greatest(i.ran_ms, 1) / 1000 else 0 end as used
  from gone g
  full join input i using (job_id, token) -- hashed, for the same reason
  left join moves m on m.flow_id = g.flow_id and m.route = i.route
  left join moved_lanes l
    on l.flow_id = g.flow_id and l.route = i.route and l.was_lane = g.lane_id
  where coalesce(g.version, 0) > 0
),
recorded as (
  insert into attempt (job_id, number, user_id, status, worker_id, error, result, progress,
                       progress_note, started_at, finished_at)
  select job_id, number, user_id, outcome, worker_id, error, result::json, progress, note,
         started_at, ended_at
  from ended
  where outcome is not null
),
held as (
  insert into hold (job_id, token, user_id, flow_id, lane_id, worker_id, since)
  select job_id, token, user_id, was_flow, was_lane, worker_id, since
  from ended
  where held
),
done as (
  insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                        version, run_at, awaited, status, cancel_requested_at, fingerprint,
                        reason)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version, was_due, awaited, status, cancel_requested_at,
         case when status = 5 then fingerprint end,
         case when outcome is null then error end
  from ended
  where status >= 4
),
waiting as (
  insert into scheduled (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                         version, run_at, lane_id, awaited)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         lane_id, awaited
  from ended
  where status = 1
),
queued as (
  insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, lane_id, awaited, rank)
  -- Its place behind the gate is its own still: it has held it all the time.
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version, run_at, lane_id, awaited, run_at + priority * $1::interval
  from ended
  where status = 2
),
noted as (
  -- Others wait for the end of these.
  insert into dependency_note (job_id, user_id)
  select job_id, user_id from ended where awaited and status >= 4
  returning id
),
freed as (
  insert into gate_note (queue_id, freed)
  select (select queue_id from flow where id = was_flow), array_agg(distinct was_lane)
  from ended
  where was_lane is not null
    -- of one that no worker serves by its new flow, the gate takes the place back
    and (status <> 2 or flow_id <> was_flow)
  group by was_flow
  returning id
),
counted as (
  insert into counter_delta (flow_id, user_id, running, scheduled, queued, succeeded, failed,
                             canceled, waits, used, charged)
  select was_flow, user_id, -count(*),
         count(*) filter (where status = 1 and flow_id = was_flow),
         count(*) filter (where status = 2 and flow_id = was_flow),
         count(*) filter (where status = 4), count(*) filter (where status = 5),
         count(*) filter (where status = 6),
         -- buckets of a quarter doubling, in milliseconds (domain/stats.py)
         array_agg(ceil(4 * ln(greatest(
             1, date_part('epoch', started_at - was_due) * 1000)) / ln(2::float8))::smallint)
           filter (where outcome is not null),
         sum(used), sum(charge)
  from ended
  group by was_flow, user_id
  union all
  select flow_id, user_id, 0,
         count(*) filter (where status = 1), count(*) filter (where status = 2),
         0, 0, 0, null, 0, 0
  from ended
  where flow_id <> was_flow
  group by flow_id, user_id
),
told as (
  -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from ended t
  group by user_id
  -- once a user, and a value: as `exists` it is a join, which may read every listener
  having (select true from listener where user_id = t.user_id)
  returning id
)
select exists (select from told) as told,
       exists (select from freed) as freed,
       exists (select from noted) as noted,
       exists (select from ended where status = 1) as scheduled,
       exists (select from ended where status = 2) as queued,
       -- jobs whose history has become long, now and again
       array(select job_id from ended
             where outcome = 6 and number > 100 and number % 50 = 0) as long,
       array(select job_id from input
             where job_id not in (select job_id from ended)) as late
