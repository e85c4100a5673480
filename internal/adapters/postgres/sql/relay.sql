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
jobs as (
  insert into feed (user_id, job_ids, resync)
  select m.user_id, array_agg(distinct j.id), false
  from moved m
  cross join lateral unnest(m.job_ids) as j(id)
  group by m.user_id
),
others as (
  insert into feed (user_id, job_ids, ended_session, resync)
  select user_id, '{}', ended_session, resync
  from moved
  where resync or ended_session is not null
)
select case when elected then (select count(*) from moved) end as moved from leader
