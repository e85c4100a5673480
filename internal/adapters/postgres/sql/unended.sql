-- Which of these jobs have not ended. $1 users, $2 a job of each. By tables and not by job_state, whose
-- finished part is the largest.
select w.job_id
from unnest($1::uuid[], $2::uuid[]) as w(user_id, job_id)
where (select true from blocked where user_id = w.user_id and job_id = w.job_id limit 1)
   or (select true from scheduled where user_id = w.user_id and job_id = w.job_id limit 1)
   or (select true from gated where user_id = w.user_id and job_id = w.job_id limit 1)
   or (select true from ready where user_id = w.user_id and job_id = w.job_id limit 1)
   or (select true from lease where job_id = w.job_id limit 1)
