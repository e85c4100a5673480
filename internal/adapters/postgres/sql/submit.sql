-- Keep new jobs, each with its place in line or in time, in one round trip.
-- $1 batch, $2 aging step, then a column of values each; one whose values are all alike comes with
-- the first of them only, and one without any comes empty. $30 and $31 are the first and the last
-- job that the batch was to have.
-- One with parents is blocked; what it waits for is written next (ties.py).
-- Answers with its time, and with the jobs it left out because their keys exist. Where a flow is gone
-- or retired (flows.py) it writes nothing, and answers with those that are not.
with offered as materialized (
  select coalesce(user_id, ($3::uuid[])[1]) as user_id,
         coalesce(flow_id, ($4::int[])[1]) as flow_id,
         id,
         coalesce(type, ($6::text[])[1]) as type,
         coalesce(queue, ($7::text[])[1]) as queue,
         coalesce(route, ($8::text[])[1]) as route,
         coalesce(priority, ($9::smallint[])[1]) as priority,
         coalesce(payload, ($10::text[])[1]) as payload,
         coalesce(max_attempts, ($11::smallint[])[1]) as max_attempts,
         coalesce(strategy, ($12::text[])[1]) as strategy,
         coalesce(base_ms, ($13::bigint[])[1]) as base_ms,
         coalesce(max_ms, ($14::bigint[])[1]) as max_ms,
         coalesce(jitter, ($15::float8[])[1]) as jitter,
         coalesce(timeout_ms, ($16::int[])[1]) as timeout_ms,
         tags,
         coalesce(run_at, now() + delay_ms * interval '1 ms') as run_at,
         key, request_hash, concurrency_key, rate_key,
         case when expires_in_ms is null then expires_at
              else greatest(coalesce(run_at, now() + delay_ms * interval '1 ms'), now())
                   + expires_in_ms * interval '1 ms' end as expires_at,
         name, parents, runs_anyway, is_awaited
  from unnest($3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::text[], $8::text[],
              $9::smallint[], $10::text[], $11::smallint[], $12::text[], $13::bigint[],
              $14::bigint[], $15::float8[], $16::int[], $17::text[], $18::timestamptz[],
              $19::text[], $20::bytea[], $21::text[], $22::text[], $23::timestamptz[],
              $24::bigint[], $25::text[], $26::smallint[], $27::boolean[], $28::boolean[],
              $29::bigint[])
    as i(user_id, flow_id, id, type, queue, route,
         priority, payload, max_attempts, strategy, base_ms,
         max_ms, jitter, timeout_ms, tags, run_at,
         key, request_hash, concurrency_key, rate_key, expires_at, delay_ms,
         name, parents, runs_anyway, is_awaited, expires_in_ms)
),
flows as materialized (
  -- KEY SHARE keeps out who retires a queue or forgets it (FOR UPDATE), as wake_flows does later.
  select id, limited
  from flow
  where id = any(array(select distinct flow_id from offered))
    and not retired
  order by id
  for key share
),
gone as materialized (
  select flow_id from offered where flow_id not in (select id from flows)
),
input as not materialized (
  select * from offered where not exists (select from gone)
),
keyed as (
  insert into idempotency (user_id, key, request_hash, job_id)
  select user_id, key, request_hash, id
  from input
  where key is not null
  -- Two statements that share keys wait for each other in one order: no deadlock. Of a key that
  -- comes twice in one of them, the first keeps it.
  order by user_id, key, id
  on conflict do nothing
  returning job_id
),
fresh as materialized (
  select input.*,
         coalesce(is_awaited, false) as awaited,
         greatest(coalesce(run_at, now()), now()) as due,
         parents is not null as is_blocked,
         parents is null and coalesce(run_at > now(), false) as later,
         parents is null
           and (concurrency_key is not null or rate_key is not null
                or flow_id = any(array(select id from flows where limited))) as is_gated
  from input
  where key is null or id in (select job_id from keyed)
),
lanes as materialized (
  -- in one order: those who make the same lanes wait for each other
  select *, lane_of(flow_id, concurrency_key, rate_key) as lane_id
  from (
    select distinct flow_id, coalesce(concurrency_key, '') as concurrency_key,
           coalesce(rate_key, '') as rate_key
    from fresh
    where is_gated
    order by 1, 2, 3
  ) wanted
),
lined as materialized (
  -- A full join is hashed, as in claim.sql.
  select f.id, f.user_id, f.flow_id, f.priority, f.max_attempts, f.due, f.later, f.awaited,
         l.lane_id
  from (select * from fresh where is_gated) f
  full join lanes l
    on l.flow_id = f.flow_id
    and l.concurrency_key = coalesce(f.concurrency_key, '')
    and l.rate_key = coalesce(f.rate_key, '')
  where coalesce(f.max_attempts, 0) > 0
),
kept as (
  insert into job (id, user_id, type, queue, route, priority, payload, max_attempts,
                   backoff_strategy, backoff_base_ms, backoff_max_ms, backoff_jitter, timeout_ms,
                   idempotency_key, tags, batch_id, concurrency_key, rate_key, expires_at,
                   name, parents, runs_anyway)
  select id, user_id, type, queue, route, priority, payload::json, max_attempts,
         strategy, base_ms, max_ms, jitter, timeout_ms,
         key,
         case when tags is null then '{}'
              else array(select json_array_elements_text(tags::json)) end,
         $1, concurrency_key, rate_key, expires_at,
         name, coalesce(parents, 0), coalesce(runs_anyway, false)
  from fresh
),
batched as (
  insert into batch as b (id, user_id, total, first_job, last_job, waits_for)
  select $1, ($3::uuid[])[1], (select count(*) from fresh), $30::uuid, $31::uuid,
         (select id from fresh order by id desc limit 1)
  where $1::uuid is not null
    and not exists (select from gone)
  -- by a second statement, about jobs whose keys were given free meanwhile
  on conflict (id) do update
  set total = b.total + excluded.total,
      waits_for = coalesce(b.waits_for, excluded.waits_for)
),
expiring as (
  insert into expiry (job_id, user_id, at)
  select id, user_id, expires_at from fresh where expires_at is not null
),
standing as (
  insert into blocked (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, awaited)
  select id, user_id, flow_id, priority, 0, 0, max_attempts, 1, due, awaited
  from fresh
  where is_blocked
),
waiting as (
  insert into scheduled (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                         version, run_at, lane_id, awaited)
  select id, user_id, flow_id, priority, 0, 0, max_attempts, 1, due, null, awaited
  from fresh
  where later and not is_gated
  union all
  select id, user_id, flow_id, priority, 0, 0, max_attempts, 1, due, lane_id, awaited
  from lined
  where later
),
held as (
  insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, lane_id, awaited, rank)
  select id, user_id, flow_id, priority, 0, 0, max_attempts, 1, due, lane_id, awaited,
         due + priority * $2::interval
  from lined
  where not later
),
noted as (
  insert into gate_note (lane_id) select distinct lane_id from lined where not later
  returning id
),
queued as (
  insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, awaited, rank)
  select id, user_id, flow_id, priority, 0, 0, max_attempts, 1, due, awaited,
         due + priority * $2::interval
  from fresh
  where not later and not is_gated and not is_blocked
),
by_flow as materialized (
  select flow_id, user_id,
         count(*) filter (where is_blocked) as blocked, count(*) filter (where later) as later,
         count(*) filter (where not later and not is_blocked) as queued
  from fresh
  group by flow_id, user_id
),
counted as (
  insert into counter_delta (flow_id, user_id, blocked, scheduled, queued)
  select flow_id, user_id, blocked, later, queued from by_flow
),
told as (
  -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(id) end
  from fresh
  -- Hashed, and a listener looked up once a queue: joined, it may be looked up for each job.
  where (user_id in (
    select user_id from by_flow
    where (select true from listener where user_id = by_flow.user_id))) is true
  group by user_id
  returning id
)
select now() as now,
       array(select flow_id from gone) as gone,
       exists (select from told) as told,
       exists (select from noted) as noted,
       array(select id from input
             where key is not null and id not in (select job_id from keyed)) as taken
