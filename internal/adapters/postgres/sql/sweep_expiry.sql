-- Forget when jobs expire that have ended or are gone, among the next behind one. $1 that job, $2 how
-- many are looked at. Answers with the last of them, null at the end. A job that is retried puts its
-- time back (retry.sql), as a new row: ctid, so that it is not this one.
with looked as materialized (
  select ctid as place, job_id, user_id
  from expiry
  where job_id > $1
  order by job_id
  limit $2
),
forgotten as (
  delete from expiry
  where ctid = any(array(
    select place
    from looked l
    where (select true from finished f
           where f.user_id = l.user_id and f.status in (4, 5, 6) and f.job_id = l.job_id
           limit 1)
       or (select true from job where user_id = l.user_id and id = l.job_id limit 1) is null))
)
select job_id as last from looked order by job_id desc limit 1
