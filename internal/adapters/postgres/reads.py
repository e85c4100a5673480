"""Looking at one's own jobs."""

from __future__ import annotations

from uuid import UUID

from internal.adapters.postgres.codes import OUTCOMES, PRIORITIES, STATUSES, backoff_of
from internal.adapters.postgres.database import Database, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.jobs import Attempt, Job


class PostgresReads:
    """One statement and one round trip each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, actor: Actor, job_id: UUID) -> Job | None:
        async with self._database.hot() as connection:
            row = await connection.fetchrow(statement("get"), actor.user_id, job_id)
        return None if row is None else _job(row)

    async def attempts(self, actor: Actor, job_id: UUID) -> list[Attempt] | None:
        async with self._database.hot() as connection:
            rows = await connection.fetch(statement("attempts"), actor.user_id, job_id)
            if not rows:
                owned = "select from job where user_id = $1 and id = $2"
                if await connection.fetchrow(owned, actor.user_id, job_id) is None:
                    return None
        return [
            Attempt(
                number=row["number"],
                status=OUTCOMES[row["status"]],
                worker=row["worker_id"],
                error=row["error"],
                started_at=row["started_at"],
                finished_at=row["finished_at"],
            )
            for row in rows
        ]


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
        payload=row["payload"],
        result=row["result"],
        last_error=row["last_error"],
        progress=row["progress"],
        cancel_requested_at=row["cancel_requested_at"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
