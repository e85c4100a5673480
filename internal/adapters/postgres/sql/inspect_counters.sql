-- Where the folded counters and what is not folded yet do not come to the live leases, and where a
-- place is held for work of a process that has ended.
with noted as (
  select flow_id, sum(running) as running
  from (
    select flow_id, running from counter
    union all
    select flow_id, running from counter_delta
  ) each
  group by flow_id
),
live as (
  select flow_id, count(*) as leases from lease group by flow_id
)
select format('queue %s (%s) counts %s running jobs, the leases are %s',
              f.queue, flow_id, coalesce(running, 0), coalesce(leases, 0)) as what
from noted
full join live using (flow_id)
left join flow f on f.id = flow_id
where coalesce(running, 0) <> coalesce(leases, 0)
union all
select format('job %s holds a place for work of %s, which ended', job_id, worker_id)
from hold
where not exists (
  select from worker where id = hold.worker_id and expires_at > now() - interval '1 minute')
order by what
