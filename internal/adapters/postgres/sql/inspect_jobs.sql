-- What is wrong with a slice of all jobs, the newest first; more about the unfinished ones is in
-- inspect_places.sql. $1 how many jobs, $2 job that the slice before ended with.
with slice as materialized (
  select id, user_id, idempotency_key from job where id < $2 order by id desc limit $1
),
looked as materialized (
  select s.*, d.*, a.*, u.is_unfinished, f.user_id as flow_owner, k.job_id as named
  from slice s
  -- limit 1: else the planner may make joins of them that read whole tables
  left join lateral (
    select user_id as owner, flow_id, attempts, number, max_attempts, count(*) over () as ends
    from finished
    where user_id = s.user_id and status in (4, 5, 6) and job_id = s.id
    limit 1
  ) d on true
  left join lateral (
    select true as is_unfinished from blocked where user_id = s.user_id and job_id = s.id
    union all
    select true from scheduled where user_id = s.user_id and job_id = s.id
    union all
    select true from gated where user_id = s.user_id and job_id = s.id
    union all
    select true from ready where user_id = s.user_id and job_id = s.id
    union all
    select true from lease where user_id = s.user_id and job_id = s.id
    limit 1
  ) u on true
  left join lateral (
    select count(*) as starts, count(*) filter (where status in (2, 3)) as used,
           -- of these some count: those of jobs to blame
           count(*) filter (where status = 4) as lost,
           -- of these not all are kept
           count(*) filter (where status = 6) as released,
           coalesce(max(number), 0) as newest,
           bool_or(user_id <> s.user_id) as is_shared
    from attempt where job_id = s.id
  ) a on true
  left join lateral (select user_id from flow where id = d.flow_id limit 1) f on true
  left join lateral (
    select job_id from idempotency where user_id = s.user_id and key = s.idempotency_key limit 1
  ) k on true
),
breach as (
  select 6 as number, format('job %s stands nowhere', id) as what
  from looked where owner is null and is_unfinished is null
  union all
  select 6, format('job %s has finished %s times', id, ends) from looked where ends > 1
  union all
  select 7, format('job %s ended with %s of %s attempts used up', id, attempts, max_attempts)
  from looked where attempts > max_attempts
  union all
  select 7, format('job %s used up %s attempts, on record are %s and %s lost ones',
                   id, attempts, used, lost)
  from looked where attempts not between used and used + lost
  union all
  select 7, format('job %s was started %s times, on record are %s', id, number, starts)
  from looked where number <> newest or number <> starts and released < 100
  union all
  select 8, format('job %s has an idempotency key that does not name it', id)
  from looked where idempotency_key is not null and named is distinct from id
  union all
  select 9, format('job %s ended in another user''s queue', id)
  from looked where flow_owner <> owner
  union all
  select 9, format('job %s has an attempt of another user', id)
  from looked where owner is not null and is_shared
)
select s.id,
       array(select number from breach order by what, number) as numbers,
       array(select what from breach order by what, number) as texts
from slice s
order by s.id
limit 1
