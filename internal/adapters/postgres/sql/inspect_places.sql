-- What is wrong with a slice of the unfinished jobs, in order of user and job.
-- $1 how many jobs, $2 user and $3 job that the slice before ended with, $4 leases only.
with place as (
  (select 'blocked' as state, user_id, job_id, flow_id, attempts, number, max_attempts, version,
          since, null::bigint as token, null::text as worker_id
   from blocked
   where not $4 and (user_id, job_id) > ($2, $3) order by user_id, job_id limit $1)
  union all
  (select 'scheduled', user_id, job_id, flow_id, attempts, number, max_attempts, version,
          since, null, null
   from scheduled
   where not $4 and (user_id, job_id) > ($2, $3) order by user_id, job_id limit $1)
  union all
  (select 'gated', user_id, job_id, flow_id, attempts, number, max_attempts, version,
          since, null, null
   from gated
   where not $4 and (user_id, job_id) > ($2, $3) order by user_id, job_id limit $1)
  union all
  (select 'ready', user_id, job_id, flow_id, attempts, number, max_attempts, version,
          since, null, null
   from ready
   where not $4 and (user_id, job_id) > ($2, $3) order by user_id, job_id limit $1)
  union all
  (select 'lease', user_id, job_id, flow_id, attempts, number, max_attempts, version,
          since, token, worker_id
   from lease where (user_id, job_id) > ($2, $3) order by user_id, job_id limit $1)
),
slice as materialized (
  -- with ties: a job that stands in two tables is not cut in two
  select * from place order by user_id, job_id fetch first $1 rows with ties
),
looked as materialized (
  select s.*, j.user_id as owner, f.user_id as flow_owner, d.finished, a.*, q.is_kept,
         w.id is null or w.expires_at < now() - interval '1 minute' as is_abandoned
  from slice s
  -- limit 1: else the planner may make joins of them that read whole tables
  left join lateral (select user_id from job where id = s.job_id limit 1) j on true
  left join lateral (select user_id from flow where id = s.flow_id limit 1) f on true
  left join lateral (
    select true as finished from finished
    where user_id = s.user_id and status in (4, 5, 6) and job_id = s.job_id
    limit 1
  ) d on true
  left join lateral (
    select count(*) as starts, count(*) filter (where status in (2, 3)) as used,
           -- of these some count: those of jobs to blame
           count(*) filter (where status = 4) as lost,
           -- of these not all are kept
           count(*) filter (where status = 6) as released,
           coalesce(max(number), 0) as newest, bool_or(user_id <> s.user_id) as is_shared
    from attempt where job_id = s.job_id
  ) a on true
  left join lateral (select * from worker where id = s.worker_id limit 1) w on true
  left join lateral (
    -- by a parent whose end will be told or was just told, or it was itself just put here
    select true as is_kept
    from (
      select job_id from dependency_note where job_id = s.job_id
      union all
      select d.parent_id
      from dependency d
      cross join lateral (
        select job_id from dependency_note where job_id = d.parent_id
        union all
        select job_id from blocked
        where user_id = s.user_id and job_id = d.parent_id and awaited
        union all
        select job_id from scheduled
        where user_id = s.user_id and job_id = d.parent_id and awaited
        union all
        select job_id from gated
        where user_id = s.user_id and job_id = d.parent_id and awaited
        union all
        select job_id from ready
        where user_id = s.user_id and job_id = d.parent_id and awaited
        union all
        select job_id from lease
        where user_id = s.user_id and job_id = d.parent_id and awaited
        limit 1
      ) p
      where d.child_id = s.job_id and d.status is null
    ) keepers
    where s.state = 'blocked'
    limit 1
  ) q on true
),
breach as (
  select 6 as number,
         format('job %s stands in %s', job_id, string_agg(state, ' and ' order by state)) as what
  from slice group by job_id having count(*) > 1
  union all
  select 6, format('job %s stands in %s and in finished', job_id, state)
  from looked where finished
  union all
  select 6, format('job %s stands in %s, but there is no such job', job_id, state)
  from looked where owner is null
  union all
  select 6, format('job %s stands in %s without a queue', job_id, state)
  from looked where flow_owner is null
  union all
  select 6, format('job %s is blocked, but by nothing', job_id) from looked
  where state = 'blocked' and is_kept is null
  union all
  select 6, format('job %s is leased to %s, which ended, and nobody rescues it: does a worker run?',
                   job_id, worker_id)
  -- a lifeline needs a moment
  from looked where state = 'lease' and is_abandoned and since < now() - interval '1 minute'
  union all
  select 2, format('job %s is leased with the token %s, its version is %s', job_id, token, version)
  from looked where token > version
  union all
  select 2, format('job %s is leased for start %s, which has ended', job_id, number)
  from looked where state = 'lease' and newest >= number
  union all
  select 2, format('job %s is leased twice', job_id)
  from looked where state = 'lease' group by job_id having count(*) > 1
  union all
  select 7, format('job %s stands in %s with %s of %s attempts used up',
                   job_id, state, attempts, max_attempts)
  from looked where attempts >= max_attempts
  union all
  select 7, format('job %s has used up %s attempts, on record are %s and %s lost ones',
                   job_id, attempts, used, lost)
  from looked where attempts not between used and used + lost
  union all
  select 7, format('job %s was started %s times, on record are %s', job_id, number, starts)
  from looked
  where number <> newest + (state = 'lease')::int
     or number <> starts + (state = 'lease')::int and released < 100
  union all
  select 9, format('job %s is one user''s, its place in %s another''s', job_id, state)
  from looked where owner <> user_id
  union all
  select 9, format('job %s stands in another user''s queue', job_id)
  from looked where flow_owner <> user_id
  union all
  select 9, format('job %s has an attempt of another user', job_id) from looked where is_shared
)
select l.user_id, l.job_id,
       array(select number from breach order by what, number) as numbers,
       array(select what from breach order by what, number) as texts
from slice l
order by l.user_id desc, l.job_id desc
limit 1
