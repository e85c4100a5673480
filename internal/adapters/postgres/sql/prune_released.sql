-- Of jobs that were handed back time and again, keep the newest of those attempts. $1 jobs, $2 how
-- many of each.
with old as (
  select job_id, number
  from (
    select job_id, number, row_number() over (partition by job_id order by number desc) as age
    from attempt
    where job_id = any($1::uuid[]) and status = 6
  ) released
  where age > $2
),
lines as (
  delete from attempt_log l
  where job_id = any($1::uuid[])
    and (job_id, attempt) in (select job_id, number from old)
)
delete from attempt
where job_id = any($1::uuid[])
  and (job_id, number) in (select job_id, number from old)
