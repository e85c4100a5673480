-- The lines of a job behind a place, in order. $1 user, $2 job, $3 attempt and $4 line of the
-- place, $5 the last attempt to look at, $6 how many.
select attempt, number, at, line
from attempt_log
where job_id = $2
  and user_id = $1
  and (attempt, number) > ($3, $4)
  and attempt <= $5
order by attempt, number
limit $6
