-- Add to the suspicion against jobs that are leased. $1 jobs, $2 the token of each, $3 how much.
-- Answers with whose each is, what stands against it by now, and by which route it came.
with input as (
  select * from unnest($1::uuid[], $2::bigint[], $3::int[]) as i(job_id, token, more)
),
leased as materialized (
  select l.job_id, l.user_id, i.more, f.route
  from input i
  -- limit 1: else the planner may make joins of them that read whole tables
  cross join lateral (
    select job_id, user_id, flow_id from lease
    where job_id = i.job_id and token = i.token
    limit 1
  ) l
  cross join lateral (select route from flow where id = l.flow_id limit 1) f
  order by l.job_id
),
noted as (
  insert into suspect as s (job_id, user_id, suspicion)
  select job_id, user_id, more from leased
  on conflict (job_id) do update set suspicion = s.suspicion + excluded.suspicion
  returning job_id, suspicion
)
select job_id, user_id, suspicion, route from noted join leased using (job_id)
