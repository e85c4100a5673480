-- Keep the newest progress of running jobs. $1 jobs, $2 tokens, $3 shares, $4 notes.
-- A job whose lease is locked is ending, and its end brings its progress along: waiting for it
-- with other leases locked would be a deadlock.
with held as materialized (
  select l.user_id, l.job_id, i.share, i.note
  from unnest($1::uuid[], $2::bigint[], $3::real[], $4::text[]) as i(job_id, token, share, note)
  join lease l on l.job_id = i.job_id and l.token = i.token
  where l.job_id = any(array(select unnest($1::uuid[]))) -- as in finish.sql
  for no key update of l skip locked -- log.sql goes on meanwhile
),
noted as (
  update lease l
  set progress = h.share, progress_note = h.note, version = version + 1
  from held h
  where l.user_id = h.user_id
    and l.job_id = h.job_id
    and l.job_id = any(array(select job_id from held))
  returning l.job_id, l.user_id
)
insert into outbox (user_id, kind, ids)
select user_id, 'progress', case when count(*) <= 100 then array_agg(job_id) end
from noted n
group by user_id
-- once a user, and a value: as `exists` it is a join, which may read every listener
having (select true from listener where user_id = n.user_id)
returning id
