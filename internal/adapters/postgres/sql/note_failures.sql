-- Keep the texts of failures, before the ends that name them are recorded.
-- A column of values each: users, fingerprints, types, messages. One that was noted lately is not
-- even locked: those who record ends at the same time need not wait for each other.
insert into failure (user_id, fingerprint, type, message)
select i.*
from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[])
  as i(user_id, fingerprint, type, message)
where not coalesce((
  select noted_at > now() - interval '10 minutes'
  from failure f
  where f.user_id = i.user_id
    and f.fingerprint = i.fingerprint), false)
order by i.user_id, i.fingerprint -- in one order: no deadlock
on conflict (user_id, fingerprint) do update
set noted_at = now()
