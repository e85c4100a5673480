"""Looking at how PostgreSQL would run a statement."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from internal.adapters.postgres.database import Hot

# 20,000 jobs in each of four states, over ten users with two queues each, and over two days.
LOAD = """
    insert into account (id, email, email_key, password_hash)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, n, n, '-'
    from generate_series(1, 10) n;

    insert into tenant (user_id) select id from account;

    insert into flow (user_id, queue, route)
    select id, queue, 'default' from account, unnest(array['one', 'two']) queue;

    insert into worker (id, slots, expires_at)
    select 'worker ' || n, 100, now() + interval '1 hour' from generate_series(1, 100) n;

    insert into listener (user_id, expires_at)
    select id, now() from account
    union all
    select gen_random_uuid(), now() from generate_series(1, 5000);

    create temporary table input as
    select n, f.user_id, f.id as flow_id, f.queue,
           (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - n % 2 * 86400000), 12, '0')
            || '7' || lpad(to_hex(n), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid as job_id
    from generate_series(1, 80000) n
    join (select *, row_number() over () as number from flow) f
      on f.number = n / 4 % 20 + 1;

    insert into job (id, user_id, type, queue, route, priority, payload, max_attempts, timeout_ms,
                     backoff_strategy, backoff_base_ms, backoff_max_ms, backoff_jitter, tags)
    select job_id, user_id, 'noop', queue, 'default', 1, '{}', 3, 1000, 'fixed', 1, 1, 0, '{}'
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
                          version, run_at, status)
    select job_id, user_id, flow_id, 1, 0, 1, 3, 3, now(), case when n % 400 = 3 then 5 else 4 end
    from input where n % 4 = 3;

    insert into attempt (job_id, number, user_id, status, worker_id, started_at, finished_at)
    select job_id, 1, user_id, 1, 'worker 1', now(), now() from input where n % 4 = 3;
"""


# Twice what the largest slice of an inspection touches, little beside leases compared with ends.
MOST_ROWS = 200_000


async def faults(connection: Hot, query: str, *values: Any) -> dict[str, int]:
    """Run a statement, take it back, and say what it read too much of, with the rows.

    Tables that it read from end to end, and `rows`: all that its steps went through together.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        answer = await connection.fetchval(f"explain (analyze, format json) {query}", *values)
    finally:
        await transaction.rollback()
    nodes = list(_nodes(json.loads(answer)[0]["Plan"]))
    found = {
        node["Relation Name"]: int(_rows(node))
        for node in nodes
        if node["Node Type"] == "Seq Scan" and _rows(node) > 1000
    }
    if (rows := sum(_rows(node) * node["Actual Loops"] for node in nodes)) > MOST_ROWS:
        found["rows"] = int(rows)
    return found


def _rows(node: dict[str, Any]) -> float:
    removed = ("Rows Removed by Filter", "Rows Removed by Join Filter")
    return float(node["Actual Rows"] + sum(node.get(name, 0) for name in removed))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)
