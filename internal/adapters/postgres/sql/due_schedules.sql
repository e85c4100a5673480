-- Lock schedules whose next slot has come. $1 how many, $2 how late a slot is on time.
-- Those on time first, in their order: what has fallen behind must not hold them up, and whoever has
-- many schedules must not hold up who has one. Last those whose users had no room for their jobs.
with due as materialized (
  (select id
   from schedule
   where next_run_at > now() - $2::interval and next_run_at <= now()
     and held_until is null
   order by next_run_at
   limit 4 * $1::int)
  union all
  (select id
   from schedule
   where next_run_at <= now() - $2::interval
     and held_until is null
   order by next_run_at
   limit 4 * $1::int)
  union all
  (select id
   from schedule
   where held_until <= now()
   order by held_until
   limit 4 * $1::int)
)
select s.*, now() as now
from due d
-- each by itself and in their order, until there are enough
cross join lateral (
  select *
  from schedule
  where id = d.id
    -- in brackets, so that no index is used for it
    and (next_run_at <= now() and coalesce(held_until <= now(), true)) is true
  limit 1
  for no key update skip locked
) s
-- An account that is just being deleted is passed over too: its deletion would wait for the
-- schedule, and the schedule's jobs for the account.
cross join lateral (
  select from account where id = s.user_id limit 1 for key share skip locked
) a
limit $1
