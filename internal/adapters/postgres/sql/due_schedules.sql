-- Lock schedules whose next slot has come. $1 how many, $2 how late a slot is on time.
-- Those on time first, in their order: what has fallen behind must not hold them up, and whoever has
-- many schedules must not hold up who has one.
with due as (
  (select id, next_run_at, true as on_time
   from schedule
   where next_run_at > now() - $2::interval and next_run_at <= now()
   order by next_run_at
   limit 4 * $1::int)
  union all
  (select id, next_run_at, false
   from schedule
   where next_run_at <= now() - $2::interval
   order by next_run_at
   limit 4 * $1::int)
)
select s.*, now() as now
from due d
join schedule s on s.id = d.id and s.next_run_at = d.next_run_at
-- An account that is just being deleted is passed over too: its deletion would wait for the
-- schedule, and the schedule's jobs for the account.
join account a on a.id = s.user_id
order by d.on_time desc, d.next_run_at
limit $1
for no key update of s skip locked
for key share of a skip locked
