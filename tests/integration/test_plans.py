"""The hot statements keep their indexes, whatever the planner knows about the tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.dialects.postgresql import asyncpg

from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.invariants import HIGHEST, LOWEST, SLICE
from internal.adapters.postgres.listing import page_ids
from internal.adapters.postgres.statements import statement
from internal.domain.jobs import Status
from internal.domain.listing import JobFilter, Page
from internal.services.upkeep import STAGED_AT_ONCE
from tests.support.plans import LOAD, faults
from tests.support.postgres import on_every_postgres
from tests.support.store import AGING, ROUTES, TTL, open_store

Statements = dict[str, tuple[str, tuple[Any, ...]]]


@on_every_postgres
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_no_hot_statement_reads_more_than_it_needs(database_url: str, mode: str) -> None:
    async with open_store(database_url, size=1) as store, store.database.hot() as connection:
        await connection.execute("vacuum analyze")  # from now on statistics say: no rows
        await connection.execute(LOAD)
        await connection.execute(f"set plan_cache_mode = {mode}")
        statements = await _statements(connection)
        outdated = await _faults(connection, statements)
        await connection.execute("analyze")
        known = await _faults(connection, statements)

    assert (outdated, known) == ({}, {})


async def _faults(connection: Hot, statements: Statements) -> dict[str, dict[str, int]]:
    found = {
        name: await faults(connection, query, *values)
        for name, (query, values) in statements.items()
    }
    found["inspect places"].pop("lease", 0)  # in the order of users: it is sorted each time
    return {name: each for name, each in found.items() if each}


async def _statements(connection: Hot) -> Statements:
    user_id = await connection.fetchval("select id from account order by id limit 1")
    jobs = "select id from job where user_id = $1 order by id desc limit 21"
    ids = [row["id"] for row in await connection.fetch(jobs, user_id)]
    held = await connection.fetch("select job_id, token from lease where worker_id = 'worker 1'")
    leased, tokens = [row["job_id"] for row in held], [row["token"] for row in held]
    queued = await connection.fetchval("select job_id from ready where user_id = $1", user_id)
    failed = "select job_id from finished where user_id = $1 and status = 5"
    over = await connection.fetchval(failed, user_id)
    # A list of running jobs reads the leases: there are never more than workers have slots.
    lists = {
        f"list {statuses}, after {before}": _page(user_id, statuses, before)
        for statuses in [
            (),
            (Status.QUEUED,),
            (Status.FAILED,),
            (Status.SCHEDULED, Status.SUCCEEDED),
        ]
        for before in (None, ids[10])
    }
    return {
        **lists,
        "claim": (statement("claim"), ("worker 1", list(ROUTES), 100, [])),
        "waiting": (statement("waiting"), (list(ROUTES), [])),
        "finish": (statement("finish"), _ends(leased, tokens)),
        "succeed": (statement("succeed"), _successes(leased, tokens)),
        "fold": (statement("fold"), (100, 1)),
        "expired": (statement("expired"), (100,)),
        "progress": (statement("progress"), (leased, tokens, [0.5] * len(leased))),
        "beat": (statement("beat"), ("worker 1", TTL, 5, 20)),
        "listen": (statement("listen"), ([user_id, *ids], TTL)),
        "stage": (statement("stage"), (STAGED_AT_ONCE, AGING)),
        "prune": (statement("prune"), (timedelta(0), timedelta(0), 100)),
        "get": (statement("get"), (user_id, over)),
        "attempts": (statement("attempts"), (user_id, over)),
        "summaries": (statement("summaries"), ([user_id], ids)),
        "cancel": (statement("cancel"), (user_id, queued)),
        "retry": (statement("retry"), (user_id, over, AGING)),
        "delete": (statement("delete"), (user_id, over)),
        "oldest": (statement("oldest"), (user_id,)),
        "inspect places": (statement("inspect_places"), (SLICE, LOWEST, LOWEST, False)),
        "inspect jobs": (statement("inspect_jobs"), (SLICE, HIGHEST)),
        "inspect flows": (statement("inspect_flows"), (SLICE, 0)),
        "inspect keys": (statement("inspect_keys"), (SLICE, LOWEST, "")),
    }


def _ends(jobs: list[UUID], tokens: list[int]) -> tuple[Any, ...]:
    succeeded = (1, 4, 0, 0.0, 5.0, 0.0, None, "null", None)
    return (AGING, jobs, tokens, *([value] * len(jobs) for value in succeeded))


def _successes(jobs: list[UUID], tokens: list[int]) -> tuple[Any, ...]:
    return (jobs, tokens, *([value] * len(jobs) for value in (5.0, 0.0, "null", None)))


def _page(
    user_id: UUID, statuses: tuple[Status, ...], before: UUID | None
) -> tuple[str, tuple[Any, ...]]:
    query = page_ids(user_id, JobFilter(status=statuses), Page(before=before))
    options = {"render_postcompile": True}
    dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]
    compiled = query.compile(dialect=dialect, compile_kwargs=options)
    return str(compiled), tuple(compiled.params[name] for name in compiled.positiontup or ())
