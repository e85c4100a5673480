-- One job with its place and its latest recorded attempt. $1 user, $2 job.
select j.id, j.type, j.queue, j.priority, s.status, s.attempts, s.max_attempts,
       -- what Python's datetime can hold, whatever stands there
       least(greatest(s.run_at, '0002-01-01'), '9998-12-31') as run_at,
       j.backoff_strategy, j.backoff_base_ms, j.backoff_max_ms, j.backoff_jitter, j.timeout_ms,
       j.idempotency_key, j.tags, j.concurrency_key, j.rate_key,
       j.expires_at, j.name, j.runs_anyway, j.payload, j.created_at,
       case when s.status = 4 then a.result end as result,
       coalesce(s.reason, a.error, case when a.status = 6 then (
         -- It was handed back and says nothing: what did before. A job may snooze for ever.
         select error from attempt
         where job_id = j.id and number > a.number - 1000 and error is not null
         order by number desc
         limit 1
       ) end) as last_error,
       case when s.status = 3 then s.progress when s.status >= 4 then a.progress end as progress,
       case when s.status = 3 then s.progress_note
            when s.status >= 4 then a.progress_note end as progress_note,
       s.cancel_requested_at, s.version,
       case when j.parents > 0 then array(
         select parent_id from dependency where child_id = j.id order by parent_id
       ) end as depends_on,
       s.since as updated_at,
       case when s.status = 3 then s.since else a.started_at end as started_at,
       case when s.status >= 4 then s.since end as finished_at
from job j
join job_state s on s.job_id = j.id and s.user_id = j.user_id
left join lateral (
  select number, status, result, error, progress, progress_note, started_at
  from attempt
  where job_id = j.id
  order by number desc
  limit 1
) a on true
where j.id = $2
  and j.user_id = $1
