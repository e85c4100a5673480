"""Changing one's own jobs."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from internal.adapters.postgres.codes import STATUSES
from internal.adapters.postgres.contention import retrying_contention
from internal.adapters.postgres.database import Database, Hot
from internal.adapters.postgres.statements import statement
from internal.domain import jobs
from internal.domain.accounts import Actor
from internal.domain.errors import ContentionError, NotFoundError
from internal.domain.jobs import Status
from internal.domain.ports.feed import Topic, Wakeups

# A job may move between two looks; each further move needs a worker's round trip in between.
LOOKS: Final = 10


class PostgresCommands:
    """Each command is one statement; a job that moved meanwhile is looked at again."""

    def __init__(self, database: Database, wakeups: Wakeups, aging: timedelta) -> None:
        self._database = database
        self._wakeups = wakeups
        self._aging = aging

    @retrying_contention
    async def cancel(self, actor: Actor, job_id: UUID) -> None:
        async with self._database.hot() as connection:
            for _ in range(LOOKS):
                values = (actor.user_id, [job_id])
                if await connection.fetchrow(statement("cancel"), *values) is not None:
                    self._wakeups.send(Topic.CANCEL, Topic.OUTBOX, Topic.GATE, Topic.RELEASE)
                    return
                jobs.cancel((await _state(connection, actor, job_id))[0])
        raise ContentionError("the job keeps moving: try again", retry_after=1)

    @retrying_contention
    async def retry(self, actor: Actor, job_id: UUID) -> None:
        async with self._database.hot() as connection:
            for _ in range(LOOKS):
                values = (actor.user_id, [job_id], self._aging, None)
                if await connection.fetchrow(statement("retry"), *values) is not None:
                    self._wakeups.send(Topic.READY, Topic.OUTBOX, Topic.GATE, Topic.RELEASE)
                    return
                jobs.retry(*await _state(connection, actor, job_id))
        raise ContentionError("the job keeps moving: try again", retry_after=1)

    @retrying_contention
    async def edit(self, actor: Actor, job_id: UUID, payload: str) -> None:
        async with self._database.hot() as connection:
            for _ in range(LOOKS):
                values = (actor.user_id, job_id, payload)
                if await connection.fetchrow(statement("edit"), *values) is not None:
                    self._wakeups.send(Topic.READY, Topic.OUTBOX)
                    return
                jobs.check_editable((await _state(connection, actor, job_id))[0])
        raise ContentionError("the job keeps moving: try again", retry_after=1)

    @retrying_contention
    async def delete(self, actor: Actor, job_id: UUID) -> None:
        async with self._database.hot() as connection:
            for _ in range(LOOKS):
                values = (actor.user_id, [job_id])
                if await connection.fetchrow(statement("delete"), *values) is not None:
                    self._wakeups.send(Topic.OUTBOX)
                    return
                status = (await _state(connection, actor, job_id))[0]
                is_needed = await connection.fetchval(
                    "select is_needed($1, $2)", actor.user_id, job_id
                )
                jobs.check_deletable(status, is_needed=is_needed)
        raise ContentionError("the job keeps moving: try again", retry_after=1)


async def _state(connection: Hot, actor: Actor, job_id: UUID) -> tuple[Status, int, int]:
    row = await connection.fetchrow(
        "select status, attempts, max_attempts from job_state where user_id = $1 and job_id = $2",
        actor.user_id,
        job_id,
    )
    if row is None:
        raise NotFoundError("there is no such job, or it is not yours")
    return STATUSES[row["status"]], row["attempts"], row["max_attempts"]
