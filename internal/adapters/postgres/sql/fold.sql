-- Add up what statements noted. $1 how many notes at most.
with noted as (
  delete from counter_delta
  where id = any(array(
    select id from counter_delta order by id limit $1 for update skip locked))
  returning *
),
totals as (
  insert into counter as c (flow_id, user_id, blocked, scheduled, queued, running, succeeded,
                            failed, canceled)
  select flow_id, user_id, sum(blocked), sum(scheduled), sum(queued), sum(running),
         sum(succeeded), sum(failed), sum(canceled)
  from noted
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
  select n.user_id, date_trunc('minute', n.at), b.bucket, count(*)
  from noted n
  cross join lateral unnest(n.waits) as b(bucket)
  group by 1, 2, 3
  order by 1, 2, 3
  on conflict (user_id, at, bucket) do update
  set jobs = w.jobs + excluded.jobs
)
select count(*) from noted
