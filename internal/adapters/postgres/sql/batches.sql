-- Batches with their jobs by status, as they stand now. $1 users, $2 batches.
-- What a batch has lost by now is in no table: it had ended, and was forgotten.
select b.id, b.user_id, b.total, b.created_at, b.finished_at,
       c.blocked, c.scheduled, c.queued, c.running, c.succeeded, c.failed, c.canceled
from batch b
cross join lateral (
  select count(*) filter (where status = 0) as blocked,
         count(*) filter (where status = 1) as scheduled,
         count(*) filter (where status = 2) as queued,
         count(*) filter (where status = 3) as running,
         count(*) filter (where status = 4) as succeeded,
         count(*) filter (where status = 5) as failed,
         count(*) filter (where status = 6) as canceled
  from (
    select job_id, 0::smallint as status
    from blocked
    where user_id = b.user_id and job_id between b.first_job and b.last_job
    union all
    select job_id, 1::smallint
    from scheduled
    where user_id = b.user_id and job_id between b.first_job and b.last_job
    union all
    select job_id, 2::smallint
    from gated
    where user_id = b.user_id and job_id between b.first_job and b.last_job
    union all
    select job_id, 2::smallint
    from ready
    where user_id = b.user_id and job_id between b.first_job and b.last_job
    union all
    select job_id, 3::smallint
    from lease
    where user_id = b.user_id and job_id between b.first_job and b.last_job
    union all
    select job_id, status
    from finished
    -- all that there are: the status stands in the index before the job
    where user_id = b.user_id and status in (4, 5, 6)
      and job_id between b.first_job and b.last_job
  ) s
  -- Other jobs of the user may have been submitted at the same moment. Hashed: joined, a job may be
  -- looked up for each.
  where (job_id in (
    select id from job
    where user_id = b.user_id and id between b.first_job and b.last_job and batch_id = b.id)) is true
) c
where b.id = any($2::uuid[])
  and b.user_id = any($1::uuid[])
order by b.id desc
