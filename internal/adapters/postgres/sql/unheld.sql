-- Lock leases of a worker that does not know of them. $1 worker, $2 jobs it holds.
-- It reads all leases, but is asked only of a worker that gives up its name.
select job_id, token, attempts
from lease
where worker_id = $1
  and job_id <> all($2::uuid[])
for update skip locked
