-- Lock jobs where they stand, and tell their statuses. $1 user, $2 jobs in order.
-- A job that somebody else holds is left out, not waited for: claims take rows in another order.
with in_blocked as (
  select job_id, 0::smallint as status
  from blocked
  where user_id = $1
    and job_id = any($2::uuid[])
  for update skip locked
),
in_scheduled as (
  select job_id, 1::smallint as status
  from scheduled
  where user_id = $1
    and job_id = any($2::uuid[])
  for update skip locked
),
in_gated as (
  select job_id, 2::smallint as status
  from gated
  where user_id = $1
    and job_id = any($2::uuid[])
  for update skip locked
),
in_ready as (
  select job_id, 2::smallint as status
  from ready
  where user_id = $1
    and job_id = any($2::uuid[])
  for update skip locked
),
in_lease as (
  select job_id, 3::smallint as status
  from lease
  where user_id = $1
    and job_id = any($2::uuid[])
  for no key update skip locked -- lines are logged meanwhile (log.sql)
),
in_finished as (
  select job_id, status
  from finished
  where user_id = $1
    and job_id = any($2::uuid[])
    -- as in retry.sql
    and job_id >= ($2::uuid[])[1]
    and job_id <= ($2::uuid[])[cardinality($2::uuid[])]
    and status in (4, 5, 6)
  for update skip locked
)
select * from in_blocked
union all
select * from in_scheduled
union all
select * from in_gated
union all
select * from in_ready
union all
select * from in_lease
union all
select * from in_finished
