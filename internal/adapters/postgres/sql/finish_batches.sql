-- Finish batches of which no job is unfinished any more, a few of each user.
-- $1 the user to begin after, $2 users at most, $3 batches of each at most, $4 users with more than
-- that, $5 the batch of each of them to begin after.
-- Answers with the users it came to, how many of their batches it looked at, and the last of these.
with recursive step(user_id, number) as (
  (
    select user_id, 1
    from batch
    where finished_at is null
      and user_id > $1
    order by user_id
    limit 1
  )
  union all
  -- A value, and so one entry of the index for each user, however many batches they have.
  select (
           select user_id
           from batch
           where finished_at is null
             and user_id > s.user_id
           order by user_id
           limit 1
         ),
         number + 1
  from step s
  where user_id is not null
    and number < $2
),
looked as materialized (
  select b.user_id, b.id, b.waits_for
  from step s
  left join unnest($4::uuid[], $5::uuid[]) as c(user_id, after) on c.user_id = s.user_id
  cross join lateral (
    select user_id, id, waits_for
    from batch
    where finished_at is null
      and user_id = s.user_id
      and id > coalesce(c.after, '00000000-0000-0000-0000-000000000000')
    order by id
    limit $3
  ) b
),
doubtful as (
  -- While the job that a batch was last seen to wait for is unfinished, so is the batch: five
  -- look-ups at most, and nothing is written. All see the same moment, so none misses a job that
  -- moves from one table to another.
  select user_id, id
  from looked l
  where coalesce(
    (
      select true
      from ready
      where user_id = l.user_id
        and job_id between l.waits_for and l.waits_for
      order by job_id -- so that it is no other index, whatever the plan was made over
      limit 1
    ),
    (select true from lease where user_id = l.user_id and job_id = l.waits_for),
    (select true from gated where user_id = l.user_id and job_id = l.waits_for),
    (select true from scheduled where user_id = l.user_id and job_id = l.waits_for),
    (select true from blocked where user_id = l.user_id and job_id = l.waits_for)
  ) is null
),
held as (
  select b.place
  from (select user_id, id from doubtful order by id) d
  cross join lateral (
    select ctid as place
    from batch
    where user_id = d.user_id -- else an index that begins with it may be gone through whole
      and id = d.id
      and finished_at is null
    limit 1 -- looked up for each
    for update skip locked
  ) b
),
seen as (
  update batch b
  set (waits_for, finished_at) = (
    select job_id, case when job_id is null then now() end
    from (
      -- The last one unfinished: as a rule its turn comes last, and what has ended before it, and
      -- may still stand in the index, is not gone through.
      select coalesce(
          (
            select job_id
            from blocked
            where user_id = b.user_id
              and job_id between b.first_job and b.last_job
              and (select batch_id = b.id from job where id = job_id and user_id = b.user_id)
            order by job_id desc
            limit 1
          ),
          (
            select job_id
            from scheduled
            where user_id = b.user_id
              and job_id between b.first_job and b.last_job
              and (select batch_id = b.id from job where id = job_id and user_id = b.user_id)
            order by job_id desc
            limit 1
          ),
          (
            select job_id
            from gated
            where user_id = b.user_id
              and job_id between b.first_job and b.last_job
              and (select batch_id = b.id from job where id = job_id and user_id = b.user_id)
            order by job_id desc
            limit 1
          ),
          (
            select job_id
            from ready
            where user_id = b.user_id
              and job_id between b.first_job and b.last_job
              and (select batch_id = b.id from job where id = job_id and user_id = b.user_id)
            order by job_id desc
            limit 1
          ),
          (
            select job_id
            from lease
            where user_id = b.user_id
              and job_id between b.first_job and b.last_job
              and (select batch_id = b.id from job where id = job_id and user_id = b.user_id)
            order by job_id desc
            limit 1
          )
        ) as job_id
      offset 0 -- look for it once
    ) l
  )
  where ctid = any(array(select place from held))
  returning id, user_id, finished_at
),
told as (
  -- Of users somebody listens to; more than a hundred at once are quicker read again: null.
  insert into outbox (user_id, kind, ids)
  select user_id, 'batch', case when count(*) <= 100 then array_agg(id) end
  from seen t
  where finished_at is not null
  group by user_id
  -- once a user, and a value: as `exists` it is a join, which may read every listener
  having (select true from listener where user_id = t.user_id)
  returning id
)
select s.user_id,
       coalesce(l.batches, 0) as batches,
       l.last,
       exists (select from told) as told
from step s
left join (
  select user_id, count(*) as batches, (array_agg(id order by id desc))[1] as last
  from looked
  group by user_id
) l on l.user_id = s.user_id
where s.user_id is not null
order by s.user_id
