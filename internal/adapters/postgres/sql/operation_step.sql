-- Note what a step of an operation has done, in its transaction, and when the next one may be.
-- $1 operation, $2 jobs that are dealt with, $3 how many of them were done, $4 all skipped so far,
-- $5 the shortest pause.
with dealt_with as (
  delete from operation_item
  where operation_id = $1
    and job_id = any($2::uuid[])
  returning job_id
),
rest as (
  -- The delete is not seen yet: one more than it takes means that some are left.
  select count(*) > cardinality($2::uuid[]) as is_left
  from (
    select from operation_item where operation_id = $1 limit cardinality($2::uuid[]) + 1
  ) first
)
update operation
set done = done + $3,
    skipped = $4::text::jsonb,
    -- A step that was late by a quarter of a second at most is made up for.
    next_at = greatest(next_at, now() - interval '250 ms')
              + greatest($5::interval, $3 * interval '1 second' / per_second),
    status = case when is_left then 'running' else 'done' end,
    finished_at = case when not is_left then now() end
from rest
where id = $1
