-- Renew a worker that has not expired and hear which of its jobs are to stop. $1 worker, $2 ttl,
-- $3 jobs running, $4 its longest lag in milliseconds.
with renewed as (
  update worker
  set expires_at = now() + $2::interval,
      running = $3,
      lag_ms = $4
  where id = $1
    and expires_at > now() -- once expired its leases may be rescued at any moment
  returning id
)
select (select count(*) = 1 from renewed) as alive,
       array(select job_id from lease where worker_id = $1 and cancel_requested_at is not null)
         as canceled
