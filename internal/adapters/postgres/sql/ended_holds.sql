-- What processes held that have ended. A process that left gracefully may need a moment to end,
-- unless it was seen to.
with gone as (
  delete from hold h
  where not exists (
    select from worker
    where id = h.worker_id
      and (expires_at > now() or not end_known and expires_at > now() - interval '5 seconds'))
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
