-- Keep the newest progress of running jobs. $1 jobs, $2 tokens, $3 shares.
with noted as (
  update lease l
  set progress = i.share, version = version + 1
  from unnest($1::uuid[], $2::bigint[], $3::real[]) as i(job_id, token, share)
  where l.job_id = i.job_id
    and l.token = i.token
  returning l.job_id, l.user_id
)
insert into outbox (user_id, kind, ids)
select user_id, 'progress', array_agg(job_id) from noted group by user_id
