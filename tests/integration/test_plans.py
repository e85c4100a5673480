"""The hot statements keep their indexes, whatever the planner knows about the tables.

`make chaos` looks at a million jobs in each state: what a statement may read stays the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

import msgspec
import pytest
from sqlalchemy.dialects.postgresql import asyncpg

from internal.adapters.postgres import sweep_statements
from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.due_schedules import NEXT
from internal.adapters.postgres.invariants import HIGHEST, LOWEST, SLICE
from internal.adapters.postgres.listing import page_ids
from internal.adapters.postgres.statements import statement
from internal.domain.jobs import Status
from internal.domain.listing import JobFilter, Page
from internal.domain.misfits import MISFIT
from internal.domain.slots import GRACE
from internal.services.scheduler import FIRED_AT_ONCE
from internal.services.upkeep import STAGED_AT_ONCE
from tests.support.plans import Prepared, Values, analyze, faults, load, plan
from tests.support.postgres import on_every_postgres
from tests.support.store import AGING, ROUTES, TTL, open_store

# In each of four states.
JOBS: Final = int(os.environ.get("WINDLASS_CHAOS_ROWS", "20000"))

# By plans made over empty tables, these look for a job in ready, or in a day's jobs, through an
# index in which it comes later.
SKIPPING: Final = {
    *(
        "get",
        "why",
        "summaries",
        "cancel",
        "batches",
        "edit, queued",
        "edit, failed",
        "places",
        "prune",
        "unended jobs",
    ),
    *("inspect places", "inspect jobs"),
}

# Leases are sorted by user each time: slots bound them. Days that are over are gone through.
EXCUSED: Final = {"inspect places": ("lease", "rows"), "prune": ("finished_",)}

LISTED: Final = [
    JobFilter(),
    JobFilter(status=(Status.QUEUED,)),
    JobFilter(status=(Status.QUEUED,), queue=("one",)),
    JobFilter(status=(Status.FAILED,)),
    JobFilter(fingerprint=("0000000000000001",)),
    JobFilter(status=(Status.SCHEDULED, Status.SUCCEEDED)),
    JobFilter(batch=(UUID(int=0),)),
    JobFilter(batch=(UUID(int=0),), status=(Status.SUCCEEDED,)),
]

Statements = dict[str, tuple[str, Values]]
Faults = dict[str, dict[str, int]]


class Known(msgspec.Struct, frozen=True):
    """Jobs of one user to ask about, and the leases of one worker."""

    user_id: UUID = UUID(int=0)
    newest: Sequence[UUID] = (UUID(int=0),)
    queued: UUID = UUID(int=0)
    failed: UUID = UUID(int=0)
    batch: UUID = UUID(int=0)
    leased: Sequence[UUID] = ()
    tokens: Sequence[int] = ()


@on_every_postgres
@pytest.mark.timeout(0 if JOBS > 20_000 else 120)
async def test_no_hot_statement_reads_more_than_it_needs(database_url: str) -> None:
    async with open_store(database_url, size=1) as store, store.database.hot() as connection:
        await connection.execute("vacuum analyze")  # from now on statistics say: no rows
        queries = {name: query for name, (query, _) in _statements(Known()).items()}
        early = {name: query for name, query in queries.items() if name not in SKIPPING}
        while_empty = await _plan(connection, early)
        async with connection.transaction():
            await load(connection, JOBS)
            known = await _known(connection)
            values = {name: each for name, (_, each) in _statements(known).items()}
            kept = await _faults(connection, while_empty, values)
            outdated = await _faults_of_both_plans(connection, queries, values)
            await analyze(connection)
            informed = await _faults_of_both_plans(connection, queries, values)

    assert (kept, outdated, informed) == ({}, ({}, {}), ({}, {}))


async def _plan(connection: Hot, queries: Mapping[str, str]) -> dict[str, Prepared]:
    return {name: await plan(connection, query) for name, query in queries.items()}


async def _faults_of_both_plans(
    connection: Hot, queries: Mapping[str, str], values: Mapping[str, Values]
) -> tuple[Faults, Faults]:
    """Of plans made for any values, as hot statements have them, and of plans made for these."""
    generic = await _faults(connection, await _plan(connection, queries), values)
    async with connection.transaction():
        await connection.execute("set local plan_cache_mode = force_custom_plan")
        custom = await _faults(connection, await _plan(connection, queries), values)
    return generic, custom


async def _faults(
    connection: Hot, prepared: Mapping[str, Prepared], values: Mapping[str, Values]
) -> Faults:
    found = {name: await faults(connection, each, values[name]) for name, each in prepared.items()}
    charged = {name: _unexcused(name, each) for name, each in found.items()}
    return {name: each for name, each in charged.items() if each}


def _unexcused(name: str, found: dict[str, int]) -> dict[str, int]:
    excused = EXCUSED.get(name, ())
    return {what: rows for what, rows in found.items() if not what.startswith(excused)}


async def _known(connection: Hot) -> Known:
    user_id = await connection.fetchval("select id from account order by id limit 1")
    newest = "select id from job where user_id = $1 order by id desc limit 21"
    failed = "select job_id from finished where user_id = $1 and status = 5"
    held = await connection.fetch(
        "select job_id, token from lease where worker_id = 'worker 1' limit 200"
    )
    return Known(
        user_id=user_id,
        newest=[row["id"] for row in await connection.fetch(newest, user_id)],
        queued=await connection.fetchval("select job_id from ready where user_id = $1", user_id),
        failed=await connection.fetchval(failed, user_id),
        batch=await connection.fetchval("select id from batch where user_id = $1", user_id),
        leased=[row["job_id"] for row in held],
        tokens=[row["token"] for row in held],
    )


def _statements(known: Known) -> Statements:
    user_id, over, leased, tokens = known.user_id, known.failed, known.leased, known.tokens
    # A list of running jobs reads the leases: there are never more than workers have slots.
    lists = {
        f"list {number}, {which}": _page(user_id, where, before)
        for number, where in enumerate(LISTED)
        for which, before in (("first page", None), ("a later page", known.newest[-1]))
    }
    return {
        **lists,
        "claim": (statement("claim"), ("worker 1", list(ROUTES), 100, [])),
        "waiting": (statement("waiting"), (list(ROUTES), [])),
        "finish": (statement("finish"), _ends(leased, tokens)),
        "succeed": (statement("succeed"), _successes(leased, tokens)),
        "let go": (statement("let_go"), (leased, tokens)),
        "ended holds": (statement("ended_holds"), ()),
        "suspect": (statement("suspect"), (leased, tokens, [1] * len(leased))),
        "misfits": (statement("misfits"), ([over], MISFIT)),
        "prune released": (statement("prune_released"), ([over], 100)),
        "fold": (statement("fold"), (100, 1)),
        "expired": (statement("expired"), (100,)),
        "progress": (
            statement("progress"),
            (leased, tokens, [0.5] * len(leased), ["half"] * len(leased)),
        ),
        "log": (statement("log"), (leased, tokens, *_lines(leased))),
        "beat": (statement("beat"), ("worker 1", TTL, 5, 20)),
        "listen": (statement("listen"), ([user_id, *known.newest], TTL)),
        "stage": (statement("stage"), (STAGED_AT_ONCE, AGING)),
        "due schedules": (statement("due_schedules"), (FIRED_AT_ONCE, GRACE)),
        "fired schedules": (statement("fired_schedules"), _firings(known.newest)),
        "next schedule": (NEXT, ()),
        "prune": (statement("prune"), (timedelta(0), timedelta(0), 100)),
        "sweep expiry": (statement("sweep_expiry"), (UUID(int=0), 1000)),
        "sweep failures": (sweep_statements.FAILURES, (timedelta(0), 100)),
        "sweep feed": (sweep_statements.FEED, (100,)),
        "sweep login failures": (sweep_statements.LOGIN_FAILURES, (100,)),
        "sweep minutes": (sweep_statements.MINUTES, (100,)),
        "sweep minutes of waits": (sweep_statements.MINUTES_OF_WAITS, (100,)),
        "sweep sessions": (sweep_statements.SESSIONS, (100,)),
        "sweep tickets": (sweep_statements.TICKETS, (100,)),
        "sweep workers": (sweep_statements.WORKERS, (100,)),
        "sweep queues": (sweep_statements.QUEUES, (0, timedelta(hours=24), 100)),
        "unended jobs": (statement("unended"), ([user_id], [known.queued])),
        "flow": (statement("flow"), ([user_id], ["one"], ["default"])),
        "get": (statement("get"), (user_id, over)),
        "attempts": (statement("attempts"), (user_id, over, 2**31 - 1, 21)),
        "logs": (statement("logs"), (user_id, over, 0, 0, 2, 201)),
        "summaries": (statement("summaries"), ([user_id], known.newest)),
        "cancel": (statement("cancel"), (user_id, [known.queued])),
        "edit, queued": (statement("edit"), (user_id, known.queued, "{}")),
        "edit, failed": (statement("edit"), (user_id, over, "{}")),
        "retry": (statement("retry"), (user_id, [over], AGING, None)),
        "delete": (statement("delete"), (user_id, [over])),
        "oldest": (statement("oldest"), (user_id,)),
        "queues": (statement("queues"), (user_id, None, "", 21)),
        "why": (statement("why"), (user_id, known.queued, 100, 100)),
        "expire": (statement("expire"), (100,)),
        "unfinished": (statement("unfinished"), ([user_id],)),
        "batches": (statement("batches"), ([user_id], [known.batch])),
        "finish batches": (statement("finish_batches"), (UUID(int=0), 100, 500, [], [])),
        "prune batches": (statement("prune_batches"), (timedelta(0), timedelta(0), 100)),
        "places": (statement("places"), (user_id, sorted(known.newest))),
        "operation due": (statement("operation_due"), ()),
        "operation step": (statement("operation_step"), (user_id, [over], 1, "{}", TTL)),
        "failures": (statement("failures"), (user_id, None, None, 21)),
        "note failures": (statement("note_failures"), ([user_id], [1], ["noop"], ["it failed"])),
        "inspect places": (statement("inspect_places"), (SLICE, LOWEST, LOWEST, False)),
        "inspect jobs": (statement("inspect_jobs"), (SLICE, HIGHEST)),
        "inspect flows": (statement("inspect_flows"), (SLICE, 0)),
        "inspect keys": (statement("inspect_keys"), (SLICE, LOWEST, "")),
    }


def _ends(jobs: Sequence[UUID], tokens: Sequence[int]) -> Values:
    succeeded = (1, 4, 0, 0.0, 5.0, 0.0, None, "null", *[None] * 5)
    return (AGING, jobs, tokens, *([value] * len(jobs) for value in succeeded))


def _successes(jobs: Sequence[UUID], tokens: Sequence[int]) -> Values:
    """As they mostly are: all with the same result, none with progress."""
    return (jobs, tokens, [5.0] * len(jobs), [0.0] * len(jobs), ["null"], [], [])


def _lines(jobs: Sequence[UUID]) -> Values:
    """Three of each."""
    each = [(job_id, number) for job_id in jobs for number in (1, 2, 3)]
    logged = ([job_id for job_id, _ in each], [number for _, number in each])
    return (*logged, [5.0] * len(each), ["a line"] * len(each))


def _firings(schedules: Sequence[UUID]) -> Values:
    number = len(schedules)
    return (schedules, *([None] * number for _ in range(4)))


def _page(user_id: UUID, where: JobFilter, before: UUID | None) -> tuple[str, Values]:
    query = page_ids(user_id, where, Page(before=before))
    options = {"render_postcompile": True}
    dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]
    compiled = query.compile(dialect=dialect, compile_kwargs=options)
    return str(compiled), tuple(compiled.params[name] for name in compiled.positiontup or ())
