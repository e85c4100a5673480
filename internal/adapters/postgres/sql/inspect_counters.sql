-- Where the folded counters and what is not folded yet do not come to the live leases.
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
order by flow_id
