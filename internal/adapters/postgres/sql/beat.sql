-- Renew a worker that has not expired and hear which of its jobs are to stop, and whether jobs of
-- its routes wait for an isolated worker (internal/domain/blame.py) that is not there. $1 worker,
-- $2 ttl, $3 jobs running, $4 its longest lag in milliseconds.
with renewed as (
  update worker
  set expires_at = now() + $2::interval,
      running = $3,
      lag_ms = $4
  where id = $1
    and expires_at > now() -- once expired its leases may be rescued at any moment
  returning id, routes, alone
)
select (select count(*) = 1 from renewed) as alive,
       array(select job_id from lease where worker_id = $1 and cancel_requested_at is not null)
         as canceled,
       exists (
         select from flow f
         where f.route like 'alone:%'
           and f.route = any(array(
             select 'alone:' || unnest(routes) from renewed where not alone))
           and (exists (select from ready where flow_id = f.id)
                or exists (select from lane where flow_id = f.id and head is not null))
           and not exists (
             select from worker
             where f.route = any(routes) and running < slots and expires_at > now())
       ) as waits_alone
