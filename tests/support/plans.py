"""Looking at how PostgreSQL would run a statement."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.session_settings import STATEMENT_TIMEOUT

# As many jobs as `test.jobs` says in each of four states, over ten users with two queues each, and
# over two days; always 250 of them are due.
_LOAD: Final = """
    insert into account (id, email, email_key, password_hash)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, n, n, '-'
    from generate_series(1, 10) n;

    insert into tenant (user_id) select id from account;

    insert into queue (user_id, name)
    select id, queue from account, unnest(array['one', 'two']) queue;

    insert into flow (user_id, queue, route, queue_id)
    select user_id, name, 'default', id from queue;

    insert into worker (id, slots, expires_at)
    select 'worker ' || n, 100, now() + interval '1 hour' from generate_series(1, 100) n;

    insert into listener (user_id, expires_at)
    select id, now() from account
    union all
    select gen_random_uuid(), now() from generate_series(1, 5000);

    create table input as
    select n, f.user_id, f.id as flow_id, f.queue,
           md5(f.user_id::text || n % 2 || '-' || n / 4000)::uuid as batch_id,
           (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - n % 2 * 86400000), 12, '0')
            || '7' || lpad(to_hex(n), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid as job_id
    from generate_series(1, 4 * current_setting('test.jobs')::int) n
    join (select *, row_number() over () as number from flow) f
      on f.number = n / 4 % 20 + 1;

    insert into batch (id, user_id, total, first_job, last_job)
    select batch_id, user_id, count(*), (array_agg(job_id order by job_id))[1],
           (array_agg(job_id order by job_id desc))[1]
    from input
    group by batch_id, user_id;

    insert into job (id, user_id, type, queue, route, priority, payload, max_attempts, timeout_ms,
                     backoff_strategy, backoff_base_ms, backoff_max_ms, backoff_jitter, tags,
                     batch_id)
    select job_id, user_id, 'noop', queue, 'default', 1, '{}', 3, 1000, 'fixed', 1, 1, 0, '{}',
           batch_id
    from input;

    insert into ready (job_id, user_id, flow_id, priority, attempts, number, max_attempts, version,
                       run_at, rank)
    select job_id, user_id, flow_id, 1, 0, 0, 3, 1, now(), now() from input where n % 4 = 0;

    insert into scheduled (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                           version, run_at)
    select job_id, user_id, flow_id, 1, 0, 0, 3, 1, now() + (n - 1000) * interval '1 minute'
    from input where n % 4 = 1;

    insert into lease (job_id, user_id, flow_id, priority, attempts, number, max_attempts, version,
                       run_at, token, worker_id)
    select job_id, user_id, flow_id, 1, 0, 1, 3, 2, now(), 2, 'worker ' || n / 4 % 100 + 1
    from input where n % 4 = 2;

    insert into finished (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                          version, run_at, since, status)
    select job_id, user_id, flow_id, 1, 0, 1, 3, 3, now(), now() - interval '1 minute',
           case when n % 400 = 3 then 5 else 4 end
    from input where n % 4 = 3;

    insert into schedule (id, user_id, name, every_ms, timezone, anchor, missed, paused, job,
                          next_run_at, held_until, created_at, updated_at)
    select job_id, user_id, n, 60000, 'UTC', now(), 'all', false, '{}',
           now() + (n - 1000) * interval '1 minute',
           case when n % 8 = 1 then now() + (n - 1000) * interval '1 second' end, now(), now()
    from input where n % 4 = 1;

    insert into attempt (job_id, number, user_id, status, worker_id, started_at, finished_at)
    select job_id, 1, user_id, 1, 'worker 1', now(), now() from input where n % 4 = 3;

    insert into attempt_log (job_id, attempt, number, user_id, at, line)
    select job_id, 1, 1, user_id, now(), 'a line' from input where n % 4 = 3;

    -- What sweeps look at: all of it is to stay, but for a little.
    create table kept as
    select n, now() - case when n % 100 = 0 then interval '50 days' else interval '0' end as at,
           (select id from account order by id limit 1) as user_id
    from generate_series(1, current_setting('test.jobs')::int) n;

    insert into expiry (job_id, user_id, at)
    select job_id, user_id, now() + interval '1 year' from input where n % 4 = 1;

    insert into feed (user_id, kind, at) select user_id, 'changed', at from kept order by at;
    insert into minute (user_id, at, succeeded, failed)
    select user_id, at - n * interval '1 second', 1, 1 from kept;
    insert into minute_wait (user_id, at, bucket, jobs)
    select user_id, at - n * interval '1 second', 1, 1 from kept;
    insert into login_failure (email_key, address, at) select 'a', 'b', at from kept;
    insert into session (id, user_id, expires_at) select gen_random_uuid(), user_id, at from kept;
    insert into ticket (hash, user_id, session_id, token_expires_at, expires_at)
    select uuid_send(id), user_id, id, now(), expires_at from session;
    insert into failure (user_id, fingerprint, type, message, noted_at)
    select user_id, n, 'noop', 'it failed', at from kept;
"""

# Twice what the largest slice of an inspection touches, little beside leases compared with ends.
MOST_ROWS: Final = 200_000
# Of workers, queues and users there are fewer here; their tables may be read from end to end.
LARGE: Final = 1_000

_LARGE_INDEXES: Final = """
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid, 1, true) as first_column
    from pg_index
    where pg_relation_size(indexrelid) > 200000
"""
_PATIENCE_S: Final = 3600.0

Values = tuple[Any, ...]
Prepared: TypeAlias = "PreparedStatement[asyncpg.Record]"


async def load(connection: Hot, jobs: int) -> None:
    """Fill the tables in the transaction that is open: no autovacuum looks at them meanwhile."""
    await connection.execute("select set_config('test.jobs', $1, true)", str(jobs))
    await _take_time(connection, _LOAD)


async def analyze(connection: Hot) -> None:
    await _take_time(connection, "analyze")


async def _take_time(connection: Hot, statements: str) -> None:
    await connection.execute("set local statement_timeout = 0")
    await connection.execute(statements, timeout=_PATIENCE_S)
    await connection.execute("reset statement_timeout")


async def plan(connection: Hot, query: str) -> Prepared:
    """Prepare a statement and have it planned now, where plans are kept."""
    prepared = await connection.prepare(query)
    nulls = ["null"] * len(prepared.get_parameters())
    await connection.execute(f"explain {_execute(prepared, nulls)}")
    return prepared


async def faults(connection: Hot, prepared: Prepared, values: Values) -> dict[str, int]:
    """Run a statement, take it back, and say what it read too much of, with the rows.

    Tables that it read from end to end, indexes that it did not enter by their first column, and
    `rows`: all that its steps went through together.
    """
    literals = await _literals(connection, prepared, values)
    transaction = connection.transaction()
    await transaction.start()
    try:
        # As EXECUTE: the text of a statement behind EXPLAIN is planned for its values, always.
        query = f"explain (analyze, format json) {_execute(prepared, literals)}"
        answer = await connection.fetchval(query)
    except asyncpg.QueryCanceledError:
        return {"seconds": STATEMENT_TIMEOUT.seconds}
    finally:
        await transaction.rollback()
    nodes = list(_nodes(json.loads(answer)[0]["Plan"]))
    found = {_what(node): int(_rows(node)) for node in nodes if _reads_all(node)}
    large = {row["name"]: row["first_column"] for row in await connection.fetch(_LARGE_INDEXES)}
    found |= {node["Index Name"]: int(_rows(node)) for node in nodes if _skips(node, large)}
    if (rows := sum(map(_rows, nodes))) > MOST_ROWS:
        found["rows"] = int(rows)
    return found


def _what(node: dict[str, Any]) -> str:
    """The table; the steps of a bitmap name their index only."""
    return str(node.get("Relation Name") or node["Index Name"])


def _reads_all(node: dict[str, Any]) -> bool:
    """By way of an index too, which is what a plan does where it may not without."""
    is_whole = node["Node Type"] == "Seq Scan" or (
        "Index Name" in node and "Index Cond" not in node
    )
    return is_whole and _rows(node) > LARGE


def _skips(node: dict[str, Any], first_columns: Mapping[str, str]) -> bool:
    """Whether it goes through a whole index to find a later column: no number of rows shows it."""
    first = first_columns.get(node.get("Index Name", ""))
    if first is None or "Index Cond" not in node or not node["Actual Loops"]:
        return False
    named = first.strip('"')  # as a word of SQL's own is written
    return re.search(rf"\b{named}\b", node["Index Cond"]) is None


def _execute(prepared: Prepared, literals: Sequence[str]) -> str:
    values = f"({', '.join(literals)})" if literals else ""
    return f"execute {prepared.get_name()}{values}"


async def _literals(connection: Hot, prepared: Prepared, values: Values) -> Sequence[str]:
    """EXECUTE takes no parameters itself."""
    types = enumerate(prepared.get_parameters(), 1)
    quoted = ", ".join(f"quote_nullable((${n}::{each.name})::text)" for n, each in types)
    (row,) = await connection.fetch(f"select {quoted}", *values)
    return tuple(row)


def _rows(node: dict[str, Any]) -> float:
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter")
    return float(node["Actual Loops"] * sum(node.get(name, 0) for name in counts))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)
