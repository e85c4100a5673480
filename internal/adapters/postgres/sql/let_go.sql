-- The work of attempts has ended that were on record as ended before: what they held is free.
-- $1 jobs, $2 the token of each.
with gone as (
  delete from hold
  where (job_id, token) in (select * from unnest($1::uuid[], $2::bigint[]))
  returning *
),
noted as (
  insert into gate_note (queue_id, freed)
  select f.queue_id, array_agg(distinct g.lane_id)
  from gone g
  join flow f on f.id = g.flow_id
  where g.lane_id is not null
  group by f.queue_id
  returning id
)
select exists (select from gone) as scheduled,
       exists (select from noted) as freed
