-- Lock schedules whose next slot has come. $1 how many.
-- The latest slots first: what has fallen behind must not hold up what is on time.
select s.*, now() as now
from schedule s
-- An account that is just being deleted is passed over too: its deletion would wait for the
-- schedule, and the schedule's jobs for the account.
join account a on a.id = s.user_id
where s.next_run_at <= now()
order by s.next_run_at desc
limit $1
for no key update of s skip locked
for key share of a skip locked
