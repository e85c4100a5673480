"""Looking at one's own jobs."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from internal.adapters.postgres.codes import OUTCOMES, PRIORITIES, STATUSES, backoff_of, share_of
from internal.adapters.postgres.database import Database, Hot, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.attempt_log import LogLine, LogPage, LogPlace
from internal.domain.jobs import Attempt, Job, on_failure

LAST_ATTEMPT: Final = 2**31 - 1


class PostgresReads:
    """One statement and one round trip each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, actor: Actor, job_id: UUID) -> Job | None:
        async with self._database.hot() as connection:
            row = await connection.fetchrow(statement("get"), actor.user_id, job_id)
        return None if row is None else _job(row)

    async def attempts(
        self, actor: Actor, job_id: UUID, limit: int, before: int | None = None
    ) -> list[Attempt] | None:
        values = (actor.user_id, job_id, LAST_ATTEMPT if before is None else before, limit)
        async with self._database.hot() as connection:
            rows = await connection.fetch(statement("attempts"), *values)
            if not rows and not await _owns(connection, actor, job_id):
                return None
        return [
            Attempt(
                number=row["number"],
                status=OUTCOMES[row["status"]],
                worker=row["worker_id"],
                error=row["error"],
                progress=share_of(row["progress"]),
                progress_note=row["progress_note"],
                started_at=row["started_at"],
                finished_at=row["finished_at"],
            )
            for row in rows
        ]

    async def logs(
        self, actor: Actor, job_id: UUID, after: LogPlace, attempt: int | None, limit: int
    ) -> LogPage | None:
        if attempt is not None and after.attempt < attempt:
            after = LogPlace(attempt)
        place = (after.attempt, after.number, attempt or LAST_ATTEMPT)
        async with self._database.hot() as connection:
            values = (actor.user_id, job_id, *place, limit + 1)
            rows = await connection.fetch(statement("logs"), *values)
            if not rows and not await _owns(connection, actor, job_id):
                return None
        shown = rows[:limit]
        lines = [LogLine(row["at"], row["attempt"], row["line"]) for row in shown]
        more = len(rows) > limit
        return LogPage(lines, LogPlace(*shown[-1][:2]) if more else None)


async def _owns(connection: Hot, actor: Actor, job_id: UUID) -> bool:
    query = "select from job where user_id = $1 and id = $2"
    return await connection.fetchrow(query, actor.user_id, job_id) is not None


def _job(row: Row) -> Job:
    return Job(
        id=row["id"],
        type=row["type"],
        queue=row["queue"],
        priority=PRIORITIES[row["priority"]],
        status=STATUSES[row["status"]],
        attempts=row["attempts"],
        max_attempts=row["max_attempts"],
        run_at=row["run_at"],
        backoff=backoff_of(row),
        timeout_ms=row["timeout_ms"],
        idempotency_key=row["idempotency_key"],
        tags=tuple(row["tags"]),
        concurrency_key=row["concurrency_key"],
        rate_key=row["rate_key"],
        expires_at=row["expires_at"],
        name=row["name"],
        depends_on=tuple(row["depends_on"] or ()),
        on_dependency_failure=on_failure(runs_anyway=row["runs_anyway"]),
        payload=row["payload"],
        result=row["result"],
        last_error=row["last_error"],
        progress=share_of(row["progress"]),
        progress_note=row["progress_note"],
        cancel_requested_at=row["cancel_requested_at"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
