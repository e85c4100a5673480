"""Filling the tables with what has come to its end, by SQL: so many of each kind."""

from __future__ import annotations

from typing import Final

from internal.adapters.postgres.database import Hot

# A user with a queue for every ten jobs. The jobs are of nine days ago and have all ended: with
# keys, expiry, logs, replays, past payloads, failures and batches, and each with one before it as a
# parent. And as many of all else that has an end.
STATEMENTS: Final = (
    "select make_partitions(current_date - 10, current_date)",
    """
    insert into queue (user_id, name)
    select $1::uuid, 'queue ' || n from generate_series(1, greatest($2::int / 10, 1)) n
    """,
    """
    insert into flow (user_id, queue, route, queue_id)
    select user_id, name, 'pull:noop', id from queue where user_id = $1
      and $2::int > 0
    """,
    """
    create table filled as
    select row_number() over () as n, flow.id as flow_id, flow.queue,
           -- ids of that day, in order
           (lpad(to_hex((extract(epoch from (current_date - 9)) * 1000)::bigint + each), 12, '0')
            || '7000' || '8' || lpad(to_hex(each), 15, '0'))::uuid as id
    from (select *, row_number() over (order by id) as place, count(*) over () as flows
          from flow where user_id = $1) flow
    join generate_series(1, $2::int) each on each % flows = place - 1
    """,
    """
    insert into job (id, user_id, type, queue, route, priority, payload, max_attempts,
                     backoff_strategy, backoff_base_ms, backoff_max_ms, backoff_jitter, timeout_ms,
                     idempotency_key, tags, batch_id, expires_at, parents)
    select id, $1::uuid, 'noop', queue, 'pull:noop', 1, '{}', 3, 'fixed', 1, 1, 0, 1000,
           'key ' || n, '{}', null, '2100-01-01', 1
    from filled where $2::int > 0
    """,
    """
    insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                          version, run_at, since, awaited, status, fingerprint)
    select id, $1::uuid, flow_id, 1, 1, 1, 3, 3, now(),
           now() - case when n % 3 = 0 then interval '40 days' else interval '8 days' end,
           true, case n % 3 when 0 then 5 when 1 then 4 else 6 end,
           case n % 3 when 0 then n end
    from filled where $2::int > 0
    """,
    """
    insert into counter (flow_id, user_id, blocked, scheduled, queued, running, succeeded, failed,
                         canceled)
    select flow_id, $1::uuid, 0, 0, 0, 0, count(*) filter (where n % 3 = 1),
           count(*) filter (where n % 3 = 0), count(*) filter (where n % 3 = 2)
    from filled where $2::int > 0 group by flow_id
    """,
    """
    insert into attempt (job_id, number, user_id, status, worker_id, started_at, finished_at)
    select id, 1, $1::uuid, 1, 'w', now(), now() from filled where $2::int > 0
    """,
    """
    insert into attempt_log (job_id, attempt, number, user_id, at, line)
    select id, 1, 1, $1::uuid, now(), 'a line' from filled where $2::int > 0
    """,
    """
    insert into idempotency (user_id, key, request_hash, job_id)
    select $1::uuid, 'key ' || n, '', id from filled where $2::int > 0
    """,
    "insert into suspect select id, $1::uuid, 2 from filled where $2::int > 0",
    "insert into expiry select id, $1::uuid, '2100-01-01' from filled where $2::int > 0",
    """
    insert into dependency (child_id, parent_id, user_id, status)
    select a.id, b.id, $1::uuid, 4 from filled a join filled b on b.n = a.n - 1 where $2::int > 0
    """,
    """
    insert into replay (job_id, user_id, from_status, after_attempt)
    select id, $1::uuid, 5, 1 from filled where $2::int > 0
    """,
    """
    insert into past_payload (job_id, attempt, user_id, payload)
    select id, 1, $1::uuid, '{}' from filled where $2::int > 0
    """,
    """
    insert into failure (user_id, fingerprint, type, message, noted_at)
    select $1::uuid, n, 'noop', 'it failed', now() - interval '33 days'
    from filled where $2::int > 0
    """,
    """
    insert into batch (id, user_id, total, first_job, last_job, created_at, finished_at)
    select (lpad(to_hex((extract(epoch from (current_date - 40)) * 1000)::bigint), 12, '0')
            || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid,
           $1::uuid, 1, id, id, now(), now() - interval '33 days'
    from filled where $2::int > 0
    """,
    """
    insert into lane (queue_id, flow_id, concurrency_key, used_at)
    select queue_id, f.id, 'key ' || n, now() - interval '2 hours'
    from (select * from flow where user_id = $1 order by id limit 1) f,
         generate_series(1, $2::int) n
    """,
    """
    insert into bucket (queue_id, key, tokens, at)
    select q.id, 'key ' || n, 1, now() - interval '25 hours'
    from (select * from queue where user_id = $1 order by id limit 1) q,
         generate_series(1, $2::int) n
    """,
    """
    insert into gate_note (lane_id)
    select -n from generate_series(1, $2::int) n where $1::uuid is not null
    """,
    """
    insert into feed (user_id, kind, at)
    select $1::uuid, 'changed', now() - interval '11 minutes' from generate_series(1, $2::int)
    """,
    "insert into outbox (user_id) select $1::uuid from generate_series(1, $2::int)",
    """
    insert into listener select gen_random_uuid(), now() - interval '1 second'
    from generate_series(1, $2::int) where $1::uuid is not null
    """,
    """
    insert into login_failure (email_key, address, at)
    select 'a', 'b', now() - interval '61 minutes' from generate_series(1, $2::int)
    where $1::uuid is not null
    """,
    """
    insert into session (id, user_id, expires_at)
    select gen_random_uuid(), $1::uuid, now() - interval '25 hours'
    from generate_series(1, $2::int)
    """,
    """
    insert into ticket (hash, user_id, session_id, token_expires_at, expires_at)
    select uuid_send(id), user_id, id, now(), now() - interval '1 second' from session
    where user_id = $1 and $2::int > 0
    """,
    """
    insert into minute select $1::uuid, now() - n * interval '1 minute', 1, 1
    from generate_series(1501, 1500 + $2::int) n
    """,
    """
    insert into minute_wait select $1::uuid, now() - n * interval '1 minute', 1, 1
    from generate_series(1501, 1500 + $2::int) n
    """,
    """
    insert into operation (id, user_id, action, status, per_second, matched, eligible, skipped,
                           finished_at)
    select gen_random_uuid(), $1::uuid, 'retry', 'done', 1, 1, 1, '{}', now() - interval '31 days'
    from generate_series(1, $2::int)
    """,
    """
    insert into operation_item select gen_random_uuid(), gen_random_uuid()
    from generate_series(1, $2::int) where $1::uuid is not null
    """,
    """
    insert into worker (id, slots, expires_at)
    select n, 1, now() - interval '2 minutes' from generate_series(1, $2::int) n
    where $1::uuid is not null
    """,
    """
    insert into counter_delta (flow_id, user_id)
    select f.id, f.user_id
    from (select * from flow where user_id = $1 order by id limit 1) f, generate_series(1, $2::int)
    """,
)

# What no sweep removes: it stays with its account, or until a migration.
STAYING: Final = ("account", "tenant", "windlass_version", "filled")

TABLES: Final = """
    select relname from pg_class
    where relkind in ('r', 'p') and not relispartition
      and relnamespace = current_schema()::regnamespace
      and relname <> all($1)
"""


async def fill(connection: Hot, user_id: object, rows: int) -> None:
    """As many rows of each kind, of one user, all past their end."""
    for each in STATEMENTS:
        values = (user_id, rows) if "$1" in each else ()
        await connection.execute(each, *values, timeout=600)


async def left(connection: Hot) -> dict[str, int]:
    """The tables that are not empty, but for what stays."""
    counts = {
        row["relname"]: await connection.fetchval(
            f"select count(*) from {row['relname']}",  # noqa: S608 - our own tables
            timeout=600,
        )
        for row in await connection.fetch(TABLES, list(STAYING))
    }
    return {name: rows for name, rows in counts.items() if rows}
