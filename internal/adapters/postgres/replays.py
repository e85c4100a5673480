"""Where jobs come from: retries by hand, and the payloads before edits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, Text, and_, cast, exists, select

from internal.adapters.postgres import schema
from internal.adapters.postgres.codes import STATUSES
from internal.adapters.postgres.database import Database
from internal.domain.accounts import Actor
from internal.domain.replays import PastPayload, Replay, ReplayPage

LAST_REPLAY: Final = 2**63 - 1


class PostgresReplays:
    """Fits the port Replays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replays(
        self, actor: Actor, job_id: UUID, limit: int, before: int | None = None
    ) -> ReplayPage | None:
        replay, past = schema.replay.c, schema.past_payload.c
        edited = exists().where(
            and_(past.job_id == replay.job_id, past.attempt == replay.after_attempt)
        )
        query = (
            select(
                replay.id,
                replay.at,
                replay.from_status,
                replay.after_attempt,
                replay.operation_id,
                replay.parent_id,
                edited,
            )
            .where(replay.job_id == job_id, replay.user_id == actor.user_id)
            .where(replay.id < (LAST_REPLAY if before is None else before))
            .order_by(replay.id.desc())
            .limit(limit + 1)
        )
        rows = await self._of_job(actor, job_id, query)
        if rows is None:
            return None
        shown = rows[:limit]
        found = [Replay(at, STATUSES[status], *others) for _, at, status, *others in shown]
        return ReplayPage(found, shown[-1][0] if len(rows) > limit else None)

    async def payloads(
        self, actor: Actor, job_id: UUID, limit: int, after: int | None
    ) -> list[PastPayload] | None:
        past = schema.past_payload.c
        query = (
            # json as text: SQLAlchemy would decode it, and the bytes sent would be lost
            select(past.attempt, cast(past.payload, Text), past.replaced_at)
            .where(past.job_id == job_id, past.user_id == actor.user_id)
            .where(past.attempt > (-1 if after is None else after))
            .order_by(past.attempt)
            .limit(limit)
        )
        rows = await self._of_job(actor, job_id, query)
        return None if rows is None else [PastPayload(*row) for row in rows]

    async def _of_job(self, actor: Actor, job_id: UUID, query: Select[Any]) -> Sequence[Any] | None:
        """The rows; None when there is no such job of the actor's."""
        job = schema.job.c
        owned = select(job.id).where(job.id == job_id, job.user_id == actor.user_id)
        async with self._database.begin() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
            if not rows and (await connection.execute(owned)).first() is None:
                return None
        return rows
