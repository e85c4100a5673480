"""What dependencies cost does not depend on how many there are, whatever the planner knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest

from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.invariants import LOWEST
from internal.adapters.postgres.statements import statement
from tests.support.plans import Values, analyze, load
from tests.support.postgres import on_every_postgres
from tests.support.store import AGING, open_store

JOBS: Final = 20_000
# Each job that is not due waits for one that has ended and for one that runs.
TIES: Final = """
    insert into blocked (job_id, user_id, flow_id, priority, attempts, number, max_attempts,
                         version, run_at)
    select job_id, user_id, flow_id, priority, attempts, number, max_attempts, version, run_at
    from scheduled;
    delete from scheduled;
    insert into dependency (child_id, parent_id, user_id)
    select job_id, parent_id, user_id
    from (
      select n, job_id, user_id, lead(job_id) over line as runs, lead(job_id, 2) over line as ended
      from input window line as (order by n)
    ) line
    cross join lateral unnest(array[runs, ended]) as parent_id
    where n % 4 = 1 and parent_id is not null;
    update lease set awaited = true where number % 2 = 0;
"""
FEW: Final = """
    select user_id, array_agg(distinct parent_id) as parents, array_agg(distinct child_id),
           (array_agg(child_id))[1],
           (select job_id from finished where job_id = any(array_agg(parent_id)) limit 1)
    from dependency
    where child_id = any(array(
      select child_id from dependency where user_id = (select min(user_id::text)::uuid from tenant)
      order by 1 limit 20))
    group by user_id
"""
NOTE: Final = "insert into dependency_note (job_id, user_id) select unnest($2::uuid[]), $1"
TOUCHED: Final = """
    select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_xact_user_tables
"""
# Each of some twenty jobs is looked up in a dozen tables, some of which have three days.
MOST_ROWS: Final = 2_000


def _calls(
    user_id: object, parents: object, children: object, child: object, ended: object
) -> Mapping[str, tuple[str, Values]]:
    return {
        "places": ("select await_places($1, $2)", (user_id, parents)),
        "queued": ("select await_queued($1, $2)", (user_id, parents)),
        "parents": ("select count(*) from parents_of($1, 1000)", (children,)),
        "edges": (statement("edges"), (user_id, children, 1000)),
        "needed": (
            "select is_needed($1, parent) from unnest($2::uuid[]) as parent",
            (user_id, parents),
        ),
        "get": (statement("get"), (user_id, child)),
        "delete": (statement("delete"), (user_id, [ended])),
        "settle": ("select * from settle_dependencies($1, $2)", (1000, AGING)),
    }


@on_every_postgres
@pytest.mark.timeout(120)
async def test_no_dependency_reads_more_than_its_own(database_url: str) -> None:
    async with open_store(database_url, size=1) as store, store.database.hot() as connection:
        await connection.execute("vacuum analyze")  # from now on statistics say: no rows
        for query, values in _calls(LOWEST, [], [], LOWEST, LOWEST).values():
            await connection.fetch(query, *values)
        async with connection.transaction():
            await load(connection, JOBS)
            await connection.execute(TIES)
            while_empty = await _touched(connection)
            await analyze(connection)
            await connection.execute("discard plans")
            informed = await _touched(connection)

    assert {k: n for k, n in while_empty.items() if n > MOST_ROWS} == {}
    assert {k: n for k, n in informed.items() if n > MOST_ROWS} == {}


async def _touched(connection: Hot) -> dict[str, int]:
    """How many rows each call reads; what it writes is taken back."""
    (few,) = await connection.fetch(FEW)
    await connection.execute(NOTE, few["user_id"], few["parents"])
    found = {}
    for name, (query, values) in _calls(*few).items():
        before = await connection.fetchval(TOUCHED)
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetch(query, *values)
        found[name] = int(await connection.fetchval(TOUCHED) - before)
        await transaction.rollback()
    return found
