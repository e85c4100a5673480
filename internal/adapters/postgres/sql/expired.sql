-- Lock leases whose worker's heartbeat ran out, or who left. $1 how many.
select l.job_id, l.token, l.attempts, l.max_attempts, l.worker_id,
       l.cancel_requested_at is not null as cancel_requested,
       extract(epoch from now() - l.since)::float8 * 1000 as started_ms
from lease l
left join worker w on w.id = l.worker_id
where w.id is null
   or w.expires_at <= now()
order by l.job_id
limit $1
for update of l skip locked
