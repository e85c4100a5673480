-- Keep lines that running jobs logged. $1 jobs, $2 tokens, then a column of values for each line:
-- its job, its place in the attempt, how many milliseconds ago it was logged, its text.
-- Answers with the jobs whose lines are kept. A job whose lease is locked is ending, and what is
-- not kept comes with its end: waiting for it with other leases locked would be a deadlock.
with held as materialized (
  select l.job_id, l.user_id, l.number as attempt
  from unnest($1::uuid[], $2::bigint[]) as i(job_id, token)
  join lease l on l.job_id = i.job_id and l.token = i.token
  where l.job_id = any(array(select unnest($1::uuid[]))) -- as in finish.sql
  -- Nobody ends the attempt before this has committed; cancels and progress go on.
  for key share of l skip locked
),
kept as (
  insert into attempt_log (job_id, attempt, number, user_id, at, line)
  select i.job_id, h.attempt, i.number, h.user_id, now() - i.ago_ms * interval '1 ms', i.line
  from unnest($3::uuid[], $4::int[], $5::float8[], $6::text[])
    as i(job_id, number, ago_ms, line)
  join held h on h.job_id = i.job_id
  order by i.job_id, i.number -- who writes the same lines meanwhile waits, one for the other
  on conflict do nothing -- kept before, and the answer was lost or is still under way
),
told as (
  insert into outbox (user_id, kind, ids)
  select user_id, 'logged', case when count(*) <= 100 then array_agg(job_id) end
  from held h
  group by user_id
  -- once a user, and a value: as `exists` it is a join, which may read every listener
  having (select true from listener where user_id = h.user_id)
  returning id
)
select array(select job_id from held) as jobs,
       exists (select from told) as told
