"""One-time tickets for opening a WebSocket."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import Insert, delete, exists, func, insert, literal, select

from internal.adapters.postgres.database import Database
from internal.adapters.postgres.schema import session, ticket
from internal.domain.accounts import Actor
from internal.domain.errors import UnauthenticatedError


class PostgresTickets:
    """One statement each; of two who bring the same ticket at once, one gets the deleted row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def issue(self, actor: Actor, ttl: timedelta) -> str:
        secret = secrets.token_urlsafe(32)
        async with self._database.begin() as connection:
            kept = await connection.execute(_keep(secret, actor, ttl))
        if kept.rowcount == 0:
            raise UnauthenticatedError("The session has ended: log in again")
        return secret

    async def redeem(self, ticket: str) -> Actor | None:
        async with self._database.begin() as connection:
            row = (await connection.execute(_take(ticket))).one_or_none()
        if row is None:
            return None
        return Actor(row.user_id, row.session_id, row.token_expires_at)


def _keep(secret: str, actor: Actor, ttl: timedelta) -> Insert:
    row = select(
        literal(_hash(secret)),
        session.c.user_id,
        session.c.id,
        literal(actor.token_expires_at),
        func.now() + ttl,
    ).where(session.c.id == actor.session_id, session.c.ended_at.is_(None))
    return insert(ticket).from_select(
        ["hash", "user_id", "session_id", "token_expires_at", "expires_at"], row
    )


def _take(secret: str) -> Any:
    is_open = exists().where(session.c.id == ticket.c.session_id, session.c.ended_at.is_(None))
    return (
        delete(ticket)
        .where(ticket.c.hash == _hash(secret), ticket.c.expires_at > func.now(), is_open)
        .returning(ticket.c.user_id, ticket.c.session_id, ticket.c.token_expires_at)
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
