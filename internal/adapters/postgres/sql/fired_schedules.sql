-- Move schedules on, and note what became of their slots.
-- $1 schedules, $2 the next slot, $3 the last job if there is any, $4 what went wrong, and $5 for how
-- long the slot is held if there was no room for its job, of each.
update schedule s
set next_run_at = f.next_run_at,
    held_until = now() + f.held,
    last_run_at = case when f.job_id is null then s.last_run_at else now() end,
    last_job_id = coalesce(f.job_id, s.last_job_id),
    last_error = case when f.job_id is null and f.error is null then s.last_error
                      else f.error end
from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::interval[])
  as f(id, next_run_at, job_id, error, held)
where s.id = f.id
  -- A plan made while there are few schedules would read them all, and outlive that.
  and s.id = any($1::uuid[])
