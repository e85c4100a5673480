-- Every start of a job, the running one last. $1 user, $2 job.
select number, status, worker_id, error, progress, progress_note, started_at, finished_at
from attempt
where job_id = $2
  and user_id = $1
union all
select number, 0::smallint, worker_id, null, progress, progress_note, since, null
from lease
where job_id = $2
  and user_id = $1
order by number
