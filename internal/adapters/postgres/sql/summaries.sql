-- Jobs without their large fields, the newest first. $1 owners, $2 jobs.
select j.user_id, j.id, j.type, j.queue, j.priority, s.status, s.attempts, s.max_attempts,
       -- as in get.sql
       least(greatest(s.run_at, '0002-01-01'), '9998-12-31') as run_at,
       j.timeout_ms, j.idempotency_key, j.tags, j.concurrency_key, j.rate_key,
       j.expires_at, j.name, j.runs_anyway, j.created_at,
       left(j.payload::text, 200) as payload_preview,
       left(split_part(coalesce(s.reason, a.error, case when a.status = 6 then (
         select error from attempt -- as in get.sql
         where job_id = j.id and number > a.number - 1000 and error is not null
         order by number desc
         limit 1
       ) end), e'\n', 1), 200) as error_preview,
       case when s.status = 3 then s.progress when s.status >= 4 then a.progress end as progress,
       case when s.status = 3 then s.progress_note
            when s.status >= 4 then a.progress_note end as progress_note,
       s.cancel_requested_at, s.version,
       s.since as updated_at,
       case when s.status = 3 then s.since else a.started_at end as started_at,
       case when s.status >= 4 then s.since end as finished_at
from job j
cross join lateral (
  -- the limit keeps it a look-up for each job: a join may read whole tables
  select * from job_state where job_id = j.id and user_id = j.user_id limit 1
) s
left join lateral (
  select number, status, error, progress, progress_note, started_at
  from attempt
  where job_id = j.id
  order by number desc
  limit 1
) a on true
where j.id = any($2::uuid[])
  and j.user_id = any($1::uuid[])
order by j.id desc
