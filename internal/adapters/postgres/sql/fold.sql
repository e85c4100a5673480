-- Add up what statements noted, one process at a time. $1 how many notes at most, $2 the lock.
-- Users pay the difference between the slot time that their jobs used and what claims took for it;
-- the running average of each flow follows (domain/fairness.py).
with leader as materialized (
  select pg_try_advisory_xact_lock($2) as elected
),
noted as (
  delete from counter_delta
  where (select elected from leader)
    and id = any(array(select id from counter_delta order by id limit $1))
  returning *
),
payers as materialized (
  -- Users before their flows, and in one order: no deadlock with claims and with new jobs.
  select user_id
  from tenant
  where user_id in (select user_id from noted)
  order by user_id
  for no key update
),
paid as (
  update tenant
  set virtual_time = virtual_time + n.difference / weight
  from (
    select user_id, sum(used - charged) as difference
    from noted
    where user_id in (select user_id from payers)
    group by user_id
  ) n
  where tenant.user_id = n.user_id
  returning tenant.user_id
),
averaged as (
  update flow
  set cost = n.mean + (cost - n.mean) * n.kept,
      ran_s = n.mean + (coalesce(ran_s, n.mean) - n.mean) * n.kept
  from (
    select flow_id,
           sum(used) / sum(cardinality(waits)) as mean,
           -- more jobs leave nothing of the average before, and underflow
           power(0.9, least(sum(cardinality(waits)), 1000)::float8) as kept
    from noted
    where waits is not null
    group by flow_id
  ) n
  where flow.id = n.flow_id
    and (select count(*) from payers) > 0
),
totals as (
  insert into counter as c (flow_id, user_id, blocked, scheduled, queued, running, succeeded,
                            failed, canceled)
  select flow_id, user_id, sum(blocked), sum(scheduled), sum(queued), sum(running),
         sum(succeeded), sum(failed), sum(canceled)
  from noted
  -- of a user who is gone there is no flow to count for
  where flow_id in (select id from flow where id = any(array(select distinct flow_id from noted)))
  group by flow_id, user_id
  order by flow_id
  on conflict (flow_id) do update
  set blocked = c.blocked + excluded.blocked,
      scheduled = c.scheduled + excluded.scheduled,
      queued = c.queued + excluded.queued,
      running = c.running + excluded.running,
      succeeded = c.succeeded + excluded.succeeded,
      failed = c.failed + excluded.failed,
      canceled = c.canceled + excluded.canceled
),
ends as (
  insert into minute as m (user_id, at, succeeded, failed)
  select user_id, date_trunc('minute', at), sum(greatest(succeeded, 0)), sum(greatest(failed, 0))
  from noted
  where succeeded > 0 or failed > 0
  group by 1, 2
  order by 1, 2
  on conflict (user_id, at) do update
  set succeeded = m.succeeded + excluded.succeeded,
      failed = m.failed + excluded.failed
),
waits as (
  insert into minute_wait as w (user_id, at, bucket, jobs)
  select n.user_id, date_trunc('minute', n.at), b.bucket, sum(b.jobs)
  from noted n
  -- counted within each note first, by one small number instead of three columns
  cross join lateral (
    select bucket, count(*) as jobs from unnest(n.waits) as w(bucket) group by bucket
  ) b
  group by 1, 2, 3
  order by 1, 2, 3
  on conflict (user_id, at, bucket) do update
  set jobs = w.jobs + excluded.jobs
)
select count(*) from noted
