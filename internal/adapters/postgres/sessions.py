"""The chains of refresh tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Executable, Row, exists, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncConnection

from internal.adapters.postgres.database import Database
from internal.adapters.postgres.schema import outbox, session
from internal.domain.accounts import Session
from internal.domain.ports.feed import Kind, Topic, Wakeups

_OPEN = (session.c.ended_at.is_(None), session.c.expires_at > func.now())


class PostgresSessions:
    """Opening, ending and asking are one statement each; rotating is two under the row's lock."""

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups

    async def open(self, user_id: UUID, ttl: timedelta) -> Session:
        opened = Session(id=uuid4(), user_id=user_id, generation=1)
        new = insert(session).values(id=opened.id, user_id=user_id, expires_at=func.now() + ttl)
        async with self._database.begin() as connection:
            await connection.execute(new)
        return opened

    async def rotate(
        self, session_id: UUID, generation: int, *, ttl: timedelta, grace: timedelta
    ) -> Session | None:
        async with self._database.begin() as connection:
            row = await _lock(connection, session_id, grace)
            if row is None:
                return None
            if generation == row.generation:
                await connection.execute(_next_generation(session_id, ttl))
                return Session(session_id, row.user_id, generation + 1)
            if generation == row.generation - 1 and row.is_fresh:
                return Session(session_id, row.user_id, row.generation)
            await connection.execute(_end(session_id))
        self._wakeups.send(Topic.OUTBOX)
        return None

    async def end(self, session_id: UUID) -> None:
        async with self._database.begin() as connection:
            await connection.execute(_end(session_id))
        self._wakeups.send(Topic.OUTBOX)

    async def is_open(self, session_id: UUID) -> bool:
        query = select(exists().where(session.c.id == session_id, *_OPEN))
        async with self._database.begin() as connection:
            return bool(await connection.scalar(query))


async def _lock(connection: AsyncConnection, session_id: UUID, grace: timedelta) -> Row[Any] | None:
    """The open session's row, held until the transaction ends.

    Of two callers at once the second waits, and PostgreSQL then looks at the row again: it finds
    the generation that the first one made, and a rotation that is fresh.
    """
    query = (
        select(
            session.c.user_id,
            session.c.generation,
            (session.c.rotated_at > func.now() - grace).label("is_fresh"),
        )
        .where(session.c.id == session_id, *_OPEN)
        .with_for_update()
    )
    return (await connection.execute(query)).one_or_none()


def _next_generation(session_id: UUID, ttl: timedelta) -> Executable:
    return (
        update(session)
        .where(session.c.id == session_id)
        .values(
            generation=session.c.generation + 1,
            rotated_at=func.now(),
            expires_at=func.now() + ttl,
        )
    )


def _end(session_id: UUID) -> Executable:
    """End a session that has not ended, and note it for its live connections."""
    ended = (
        update(session)
        .where(session.c.id == session_id, session.c.ended_at.is_(None))
        .values(ended_at=func.now())
        .returning(session.c.user_id, session.c.id)
        .cte("ended")
    )
    note = select(ended.c.user_id, literal(Kind.ENDED), array([ended.c.id]))
    return insert(outbox).from_select(["user_id", "kind", "ids"], note)
