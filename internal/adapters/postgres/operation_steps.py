"""Carrying out bulk operations, a step at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from internal.adapters.postgres.codes import STATUSES
from internal.adapters.postgres.database import Database, Hot, Row
from internal.adapters.postgres.statements import statement
from internal.domain.jobs import Status
from internal.domain.operations import ELIGIBLE, NEEDED, NOT_FOUND, Action, jobs_a_step
from internal.domain.ports.feed import Topic, Wakeups

AT_ONCE: Final = timedelta(0)
# For jobs that somebody else is moving: a claim or a flush takes some milliseconds.
WHILE_MOVING: Final = timedelta(milliseconds=20)

TOPICS: Final = {
    Action.RETRY: (Topic.READY, Topic.OUTBOX, Topic.GATE, Topic.RELEASE),
    Action.CANCEL: (Topic.CANCEL, Topic.OUTBOX, Topic.GATE, Topic.RELEASE),
    Action.DELETE: (Topic.OUTBOX,),
}

NEXT_JOBS: Final = """
    select job_id from operation_item where operation_id = $1 order by job_id limit $2
"""
PUT_OFF: Final = "update operation set next_at = now() + interval '5 seconds' where id = $1"
UNTIL_NEXT: Final = """
    select min(next_at) - now() from operation where status = 'running' and next_at > now()
"""


class PostgresOperationSteps:
    """Fits the port OperationSteps."""

    def __init__(self, database: Database, wakeups: Wakeups, aging: timedelta) -> None:
        self._database = database
        self._wakeups = wakeups
        self._aging = aging

    async def step(self) -> timedelta | None:
        async with self._database.hot() as connection:
            due = await self._step(connection)
            if due is None:
                return await _until_next(connection)
        self._wakeups.send(*TOPICS[Action(due["action"])])
        return AT_ONCE

    async def _step(self, connection: Hot) -> Row | None:
        """The operation that it was a step of, if any is due."""
        due: Row | None = None
        try:
            async with connection.transaction():
                due = await connection.fetchrow(statement("operation_due"))
                if due is not None:
                    await self._advance(connection, due)
        except Exception:
            if due is not None:  # whatever it failed of, the others need not wait for it
                await connection.execute(PUT_OFF, due["id"])
            raise
        return due

    async def _advance(self, connection: Hot, due: Row) -> None:
        """Nobody else works on the operation: its row is locked."""
        rows = await connection.fetch(NEXT_JOBS, due["id"], jobs_a_step(due["per_second"]))
        jobs = [row["job_id"] for row in rows]
        action, fits = Action(due["action"]), ELIGIBLE[Action(due["action"])]
        places = await _places(connection, due["user_id"], jobs)
        fitting = [job for job in jobs if places.get(job) in fits]
        done = await self._act(connection, action, due, fitting)
        skipped = {
            job: NEEDED if job in fitting else str(places[job])
            for job in jobs
            if job in places and job not in done
        }
        skipped |= dict.fromkeys(
            await _gone(connection, due["user_id"], [job for job in jobs if job not in places]),
            NOT_FOUND,
        )
        await _note(connection, due, jobs, done, skipped)

    async def _act(
        self, connection: Hot, action: Action, due: Row, jobs: Sequence[UUID]
    ) -> set[UUID]:
        if not jobs:
            return set()
        values: tuple[Any, ...] = (due["user_id"], jobs)
        if action is Action.RETRY:
            values = (*values, self._aging, due["id"])
        return {row["job_id"] for row in await connection.fetch(statement(action), *values)}


async def _places(connection: Hot, user_id: UUID, jobs: Sequence[UUID]) -> dict[UUID, Status]:
    """The jobs that could be locked, where they stand until the transaction ends."""
    rows = await connection.fetch(statement("places"), user_id, jobs)
    return {row["job_id"]: STATUSES[row["status"]] for row in rows}


async def _gone(connection: Hot, user_id: UUID, jobs: Sequence[UUID]) -> set[UUID]:
    """Those that are there no more; the others are moving just now."""
    if not jobs:
        return set()
    query = "select id from job where user_id = $1 and id = any($2::uuid[])"
    return set(jobs) - {row["id"] for row in await connection.fetch(query, user_id, jobs)}


async def _note(
    connection: Hot,
    due: Row,
    jobs: Sequence[UUID],
    done: set[UUID],
    skipped: dict[UUID, str],
) -> None:
    total = Counter(msgspec.json.decode(due["skipped"])) + Counter(skipped.values())
    dealt_with = [*done, *skipped]
    pause = WHILE_MOVING if len(dealt_with) < len(jobs) else AT_ONCE
    text = msgspec.json.encode(total).decode()
    values = (due["id"], dealt_with, len(done), text, pause)
    await connection.execute(statement("operation_step"), *values)


async def _until_next(connection: Hot) -> timedelta | None:
    pause: timedelta | None = await connection.fetchval(UNTIL_NEXT)
    return pause
