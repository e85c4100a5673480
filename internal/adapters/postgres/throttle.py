"""Counting failed logins."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Any, Final

from sqlalchemy import delete, func, insert, select

from internal.adapters.postgres.database import Database
from internal.adapters.postgres.schema import login_failure
from internal.domain.accounts import email_key

WINDOW: Final = timedelta(minutes=1)


class PostgresLoginThrottle:
    """At most `limit` failures a minute for one email and one address, over all processes."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit

    async def enter(self, email: str, address: str) -> int | None:
        """Three short statements; whoever guesses in parallel waits for their own turn only."""
        key = email_key(email)
        now = func.clock_timestamp()
        until_free = login_failure.c.at + WINDOW - now
        # The oldest of the last `limit` failures: when it leaves the window, one more may enter.
        decisive = (
            select(func.extract("epoch", until_free))
            .where(*_source(key, address), login_failure.c.at > now - WINDOW)
            .order_by(login_failure.c.at.desc())
            .offset(self._limit - 1)
            .limit(1)
        )
        async with self._database.begin() as connection:
            turn = func.hashtextextended(f"windlass.login {address} {key}", 0)
            await connection.execute(select(func.pg_advisory_xact_lock(turn)))
            seconds = await connection.scalar(decisive)
            if seconds is not None:
                return max(1, ceil(seconds))
            await connection.execute(insert(login_failure).values(email_key=key, address=address))
        return None

    async def forgive(self, email: str, address: str) -> None:
        async with self._database.begin() as connection:
            await connection.execute(
                delete(login_failure).where(*_source(email_key(email), address))
            )


def _source(key: str, address: str) -> tuple[Any, ...]:
    return login_failure.c.email_key == key, login_failure.c.address == address
