-- Queue failed or canceled jobs again with at least one attempt left; those that only wait for jobs
-- that have not ended are blocked again. One whose last attempt still goes on is due, until that ends.
-- $1 user, $2 jobs in order, $3 aging step, $4 the operation that this is a part of.
-- Answers with those that were in such a state.
with taken as (
  delete from finished
  where user_id = $1
    and job_id = any($2::uuid[])
    -- an array alone does not leave out the other days
    and job_id >= ($2::uuid[])[1]
    and job_id <= ($2::uuid[])[cardinality($2::uuid[])]
    and status in (5, 6)
  returning *
),
keyed as materialized (
  select t.*, coalesce(j.concurrency_key, '') as concurrency_key,
         coalesce(j.rate_key, '') as rate_key,
         j.expires_at, w.is_blocked,
         not w.is_blocked
           and (select true from hold where job_id = t.job_id limit 1) is not null as is_due,
         not w.is_blocked
           and (f.limited or j.concurrency_key is not null or j.rate_key is not null) as is_gated
  from taken t
  cross join lateral (select limited from flow where id = t.flow_id limit 1) f
  cross join lateral (
    select concurrency_key, rate_key, parents, expires_at from job
    where id = t.job_id and user_id = $1
    limit 1
  ) j
  cross join lateral (
    select j.parents > 0
           and (select true from dependency
                where child_id = t.job_id and (status is null or status > 4)
                limit 1) is not null
           -- of none of these, as far as it is not retried itself
           and (select true from dependency d
                where d.child_id = t.job_id
                  and d.status > 4
                  and d.parent_id <> all($2::uuid[])
                  -- or later, by the same operation
                  and (select true from operation_item
                       where operation_id = $4 and job_id = d.parent_id) is null
                  and (select true from finished
                       where user_id = $1 and status in (5, 6) and job_id = d.parent_id
                       limit 1)
                limit 1) is null as is_blocked
  ) w
),
lanes as materialized (
  -- in one order: those who make the same lanes wait for each other
  select *, lane_of(flow_id, concurrency_key, rate_key) as lane_id
  from (
    select distinct flow_id, concurrency_key, rate_key, is_gated
    from keyed
    where is_gated
    order by 1, 2, 3
  ) wanted
),
lined as materialized (
  select * from keyed left join lanes using (flow_id, concurrency_key, rate_key, is_gated)
),
standing as (
  insert into blocked (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                       version, run_at, awaited)
  select job_id, user_id, flow_id, priority, attempts, number,
         greatest(max_attempts, attempts + 1), version + 1, now(), awaited
  from lined
  where is_blocked
),
due as (
  insert into scheduled (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                         version, run_at, lane_id, awaited)
  select job_id, user_id, flow_id, priority, attempts, number,
         greatest(max_attempts, attempts + 1), version + 1, now(), lane_id, awaited
  from lined
  where is_due
),
queued as (
  insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, awaited, rank)
  select job_id, user_id, flow_id, priority, attempts, number,
         greatest(max_attempts, attempts + 1), version + 1, now(), awaited,
         now() + priority * $3::interval
  from lined
  where lane_id is null and not is_blocked and not is_due
),
held as (
  insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, lane_id, awaited, rank)
  select job_id, user_id, flow_id, priority, attempts, number,
         greatest(max_attempts, attempts + 1), version + 1, now(), lane_id, awaited,
         now() + priority * $3::interval
  from lined
  where lane_id is not null and not is_blocked and not is_due
),
noted as (
  insert into gate_note (lane_id)
  select lane_id from lined where lane_id is not null and not is_blocked and not is_due
),
expiring as (
  -- A time to come counts again; one that has passed does not: the retry was asked for after it.
  insert into expiry (job_id, user_id, at)
  select k.job_id, k.user_id, k.expires_at from keyed k where k.expires_at > now()
  -- a new row in any case, as sweep_expiry.sql needs it
  on conflict (job_id) do update set at = excluded.at
),
looking as (
  -- What was canceled by its end may rise again. And what it waits for may have ended meanwhile.
  insert into dependency_note (job_id, user_id)
  select job_id, user_id from lined where awaited or is_blocked
),
replayed as (
  insert into replay (job_id, user_id, from_status, after_attempt, operation_id)
  select job_id, user_id, status, number, $4::uuid from taken
),
counted as (
  insert into counter_delta (flow_id, user_id, blocked, scheduled, queued, failed, canceled)
  select flow_id, user_id, count(*) filter (where is_blocked), count(*) filter (where is_due),
         count(*) filter (where not is_blocked and not is_due), -count(*) filter (where status = 5),
         -count(*) filter (where status = 6)
  from keyed
  group by flow_id, user_id
),
told as (
  -- more than a hundred at once are quicker read again: null
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from taken t
  group by user_id
  -- a value: as `exists` it is a join, which may read every listener
  having (select true from listener where user_id = t.user_id)
)
select job_id from taken
