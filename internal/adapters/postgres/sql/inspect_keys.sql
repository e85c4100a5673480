-- What is wrong with a slice of the idempotency keys, in order of user and key.
-- $1 how many keys, $2 user and $3 key that the slice before ended with.
with slice as materialized (
  select user_id, key, job_id
  from idempotency
  where (user_id, key) > ($2, $3)
  order by user_id, key
  limit $1
),
looked as materialized (
  select s.*, j.owner, j.idempotency_key
  from slice s
  left join lateral (
    -- limit 1: else the planner may make a join of it that reads the whole table
    select user_id as owner, idempotency_key from job where id = s.job_id limit 1
  ) j on true
),
breach as (
  select 8 as number, format('an idempotency key names job %s, which is not there', job_id) as what
  from looked where owner is null
  union all
  select 8, format('an idempotency key names job %s, which has another one', job_id)
  from looked where owner is not null and idempotency_key is distinct from key
  union all
  select 9, format('an idempotency key names job %s of another user', job_id)
  from looked where owner <> user_id
)
select s.user_id, s.key,
       array(select number from breach order by what, number) as numbers,
       array(select what from breach order by what, number) as texts
from slice s
order by s.user_id desc, s.key desc
limit 1
