-- Lock the operation that may go on and has waited longest. A process that works on one holds it.
select id, user_id, action, per_second, skipped
from operation
where status = 'running'
  and next_at <= now()
order by next_at
limit 1
for update skip locked
