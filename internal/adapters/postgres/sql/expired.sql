-- Lock leases of workers whose heartbeat ran out, or who left. $1 how many.
-- A worker's row outlives its leases, so leases are read only while there is such a worker.
with dead as materialized (
  select * from worker where expires_at <= now()
)
select job_id, user_id, token, attempts, number, max_attempts, worker_id,
       (select alone from dead where id = lease.worker_id) as ran_alone,
       (select end_known from dead where id = lease.worker_id) as end_known,
       (select blamed from dead where id = lease.worker_id) as blamed,
       (select suspected from dead where id = lease.worker_id) as suspected,
       (select type from job where id = lease.job_id and user_id = lease.user_id) as type,
       cancel_requested_at is not null as cancel_requested,
       date_part('epoch', now() - since) * 1000 as ran_ms
from lease
where exists (select from dead)
  and worker_id = any(array(select id from dead))
order by job_id
limit $1
for update skip locked
