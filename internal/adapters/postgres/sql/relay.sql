-- Move committed changes to the feed. $1 how many, $2 the lock that makes the relay one at a time:
-- so the order of positions is the order of commits, and a reader by position misses nothing.
with leader as materialized (
  select pg_try_advisory_xact_lock($2) as elected
),
moved as (
  delete from outbox
  where (select elected from leader)
    and id = any(array(select id from outbox order by id limit $1))
  returning *
),
told as (
  insert into feed (user_id, kind, ids)
  select user_id, kind, ids from moved order by id
)
select case when elected then (select count(*) from moved) end as moved from leader
