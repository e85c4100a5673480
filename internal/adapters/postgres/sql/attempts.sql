-- Starts of a job, the newest first. $1 user, $2 job, $3 before which number, $4 how many.
(
  select number, status, worker_id, error, progress, progress_note, started_at, finished_at
  from attempt
  where job_id = $2
    and user_id = $1
    and number < $3
  order by number desc
  limit $4
)
union all
select number, 0::smallint, worker_id, null, progress, progress_note, since, null
from lease
where job_id = $2
  and user_id = $1
  and number < $3
order by number desc
limit $4
