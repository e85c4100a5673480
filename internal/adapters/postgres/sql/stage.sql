-- Queue scheduled jobs whose time has come. $1 how many, $2 aging step.
with first as materialized (
  select ctid as place
  from scheduled
  where run_at <= now()
    and job_id <> all(array(select job_id from hold)) -- the last attempt goes on: few, as a rule none
  order by run_at
  limit $1
  for update skip locked
),
taken as (
  -- As in claim.sql: a join may read the whole table, and a locked row's ctid still holds.
  delete from scheduled
  where ctid = any(array(select place from first))
  returning *
),
limited as materialized (
  select id
  from flow
  where id = any(array(select distinct flow_id from taken))
    and limited
),
lanes as materialized (
  -- in one order: those who make the same lanes wait for each other
  select flow_id, lane_of(flow_id, '', '') as lane_id
  from (
    select distinct flow_id
    from taken
    where lane_id is null and flow_id = any(array(select id from limited))
    order by flow_id
  ) unlaned
),
due as (
  select t.*, coalesce(t.lane_id, l.lane_id) as lane
  from taken t
  left join lanes l using (flow_id)
),
queued as (
  insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, awaited, rank)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version + 1, run_at, awaited, run_at + priority * $2::interval
  from due
  where lane is null
),
held as (
  insert into gated (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                     version, run_at, lane_id, awaited, rank)
  select job_id, user_id, flow_id, priority, attempts, number, max_attempts,
         version + 1, run_at, lane, awaited, run_at + priority * $2::interval
  from due
  where lane is not null
),
noted as (
  insert into gate_note (lane_id) select distinct lane from due where lane is not null
  returning id
),
counted as (
  insert into counter_delta (flow_id, user_id, scheduled, queued)
  select flow_id, user_id, -count(*), count(*) from taken group by flow_id, user_id
),
told as (
  -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
  insert into outbox (user_id, ids)
  select user_id, case when count(*) <= 100 then array_agg(job_id) end
  from taken t
  group by user_id
  -- once a user, and a value: as `exists` it is a join, which may read every listener
  having (select true from listener where user_id = t.user_id)
  returning id
)
select (select count(*) from taken) as staged,
       exists (select from told) as told,
       exists (select from noted) as noted,
       extract(epoch from (select min(run_at) from scheduled where run_at > now()) - now()) as next
