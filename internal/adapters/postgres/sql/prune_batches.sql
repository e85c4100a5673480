-- Forget batches whose jobs are all past their time. $1 how long succeeded and canceled jobs are
-- kept, $2 failed ones, $3 how many at most. Answers with how many went.
-- By id, and so the oldest first: jobs go when their day is over as a whole.
with gone as (
  delete from batch
  where ctid = any(array(
    select ctid
    from batch
    where id < day_floor(((now() - greatest($1::interval, $2::interval)) at time zone 'UTC')::date)
      and finished_at < now() - greatest($1::interval, $2::interval)
    order by id
    limit $3
    for update skip locked))
  returning 1
)
select count(*) from gone
