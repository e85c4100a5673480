-- Cancel waiting jobs whose time to be worth running is over. $1 how many.
-- One that runs is left alone and looked at again, since it may come back to wait: after as long as its
-- time is over by then, five minutes at most. So is one that is being moved just now, since what moves
-- jobs holds locks that others wait for.
with due as materialized (
  select ctid as place, job_id, user_id
  from expiry
  where at <= now()
  order by at
  limit $1
  for update skip locked
),
from_blocked as (
  delete from blocked
  where ctid = any(array(
    select p.ctid
    from due d
    cross join lateral (
      select ctid from blocked where user_id = d.user_id and job_id = d.job_id
      limit 1
      for update skip locked
    ) p))
  returning *
),
from_scheduled as (
  delete from scheduled
  where ctid = any(array(
    select p.ctid
    from due d
    cross join lateral (
      select ctid from scheduled where user_id = d.user_id and job_id = d.job_id
      limit 1
      for update skip locked
    ) p))
  returning *
),
from_gated as (
  delete from gated
  where ctid = any(array(
    select p.ctid
    from due d
    cross join lateral (
      select ctid from gated where user_id = d.user_id and job_id = d.job_id
      limit 1
      for update skip locked
    ) p))
  returning *
),
from_ready as (
  delete from ready
  where ctid = any(array(
    select p.ctid
    from due d
    cross join lateral (
      select ctid from ready where user_id = d.user_id and job_id = d.job_id
      limit 1
      for update skip locked
    ) p))
  returning *
),
taken as materialized (
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         awaited, 1 as blocked, 0 as scheduled, 0 as queued
  from from_blocked
  union all
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         awaited, 0, 1, 0
  from from_scheduled
  union all
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         awaited, 0, 0, 1
  from from_gated
  union all
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at,
         awaited, 0, 0, 1
  from from_ready
),
freed as (
  insert into gate_note (lane_id)
  select distinct lane_id from from_ready where lane_id is not null
),
done as (
  insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                        version, run_at, awaited, status, reason)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version + 1, run_at, awaited, 6,
         case when number = 0 then 'expired: it had not started by expires_at'
              else 'expired: it had not finished by expires_at' end
  from taken
),
noted as (
  -- Others wait for the end of these.
  insert into dependency_note (job_id, user_id) select job_id, user_id from taken where awaited
  returning id
),
over as materialized (
  select place, job_id, j.expires_at
  from due d
  cross join lateral (select expires_at from job where id = d.job_id limit 1) j
  where not exists (select from taken t where t.job_id = d.job_id)
    and (select true from finished f
         where f.user_id = d.user_id and f.status in (4, 5, 6) and f.job_id = d.job_id
         limit 1) is null
),
later as (
  update expiry e
  set at = now() + least(greatest(now() - o.expires_at, interval '1 second'), interval '5 minutes')
  from over o
  where e.ctid = o.place
    and e.ctid = any(array(select place from over))
),
forgotten as (
  delete from expiry
  where ctid = any(array(select place from due where place not in (select place from over)))
),
counted as (
  insert into counter_delta (flow_id, user_id, blocked, scheduled, queued, canceled)
  select flow_id, user_id, -sum(blocked), -sum(scheduled), -sum(queued), count(*)
  from taken
  group by flow_id, user_id
),
told as (
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from taken t
  group by user_id
  -- once a user, and a value: as `exists` it is a join, which may read every listener
  having (select true from listener where user_id = t.user_id)
  returning id
)
select (select count(*) from due) as looked,
       exists (select from told) as told,
       exists (select from from_ready where lane_id is not null) as freed,
       exists (select from noted) as noted
