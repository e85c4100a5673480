"""One user's queues, and what limits them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from asyncpg import DeadlockDetectedError, ForeignKeyViolationError, LockNotAvailableError

from internal.adapters.postgres.database import Database, Hot, Row
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.errors import (
    ContentionError,
    LimitReachedError,
    QueueNotEmptyError,
    UnauthenticatedError,
)
from internal.domain.estimates import Backlog, drain_seconds
from internal.domain.jobs import Status
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.queues import Queue, QueuePage, QueueSettings, RateLimit

# Claims hold a user and want a flow, submitters hold a flow and want its user, and this wants both:
# whoever waits so long for the one lets go of the other, and tries again.
PATIENCE: Final = "set local lock_timeout = '50ms'"
TRIES: Final = 100
PAUSE_S: Final = 0.01

# Keeps claims off.
LOCK_USER: Final = "select from tenant where user_id = $1 for no key update"

SET: Final = """
    insert into queue (user_id, name, paused, max_running, max_running_per_key,
                       rate_limit, rate_per_ms, rate_burst,
                       key_rate_limit, key_rate_per_ms, key_rate_burst)
    values ($1, $2, coalesce($3, false), $4, $5, $6, $7, $8, $9, $10, $11)
    on conflict (user_id, name) do update
    set paused = coalesce($3, queue.paused),
        retired = false,
        empty_since = null,
        max_running = excluded.max_running,
        max_running_per_key = excluded.max_running_per_key,
        rate_limit = excluded.rate_limit,
        rate_per_ms = excluded.rate_per_ms,
        rate_burst = excluded.rate_burst,
        key_rate_limit = excluded.key_rate_limit,
        key_rate_per_ms = excluded.key_rate_per_ms,
        key_rate_burst = excluded.key_rate_burst
    returning id
"""

HOLD: Final = """
    update queue set paused = $3
    where user_id = $1 and name = $2 and not retired
    returning id
"""

RETIRE: Final = "select * from retire_queue($1, $2)"

# As in make_flows: of two queues that are added at once the second counts the first.
LOCK_QUEUES: Final = """
    select pg_advisory_xact_lock(hashtextextended('windlass.queues ' || $1::uuid::text, 0))
"""
HAS_ROOM: Final = """
    select count(*) < $3 or bool_or(name = $2) from queue where user_id = $1 and not retired
"""


class PostgresQueues:
    """Settings are kept on the queue, and on its flows, where claims and submissions see them."""

    def __init__(self, database: Database, wakeups: Wakeups, *, most: int = 0) -> None:
        """A user has at most `most` queues; 0 is no limit."""
        self._database = database
        self._wakeups = wakeups
        self._most = most

    async def get(self, actor: Actor, name: str) -> Queue | None:
        async with self._database.hot() as connection:
            row = await connection.fetchrow(statement("queues"), actor.user_id, name, "", 1)
        return None if row is None else _queue(row)

    async def page(self, actor: Actor, after: str, limit: int) -> QueuePage:
        async with self._database.hot() as connection:
            values = (actor.user_id, None, after, limit + 1)
            rows = await connection.fetch(statement("queues"), *values)
        queues = [_queue(row) for row in rows[:limit]]
        return QueuePage(queues, queues[-1].name if len(rows) > limit else None)

    async def set(self, actor: Actor, name: str, settings: QueueSettings) -> None:
        values = (
            settings.paused,
            settings.max_running,
            settings.max_running_per_key,
            *_rate(settings.rate_limit),
            *_rate(settings.rate_limit_per_key),
        )
        await self._change(lambda connection: self._set_once(connection, actor, name, *values))

    async def pause(self, actor: Actor, name: str, *, paused: bool) -> bool:
        return await self._change(
            lambda connection: _hold_once(connection, actor, name, paused=paused)
        )

    async def delete(self, actor: Actor, name: str) -> bool:
        return await self._change(lambda connection: _retire_once(connection, actor, name))

    async def _change(self, change: Callable[[Hot], Awaitable[bool]]) -> bool:
        """Change the queue and its flows in a transaction; False when the change met no queue."""
        async with self._database.hot() as connection:
            for _ in range(TRIES):
                try:
                    async with connection.transaction():
                        await connection.execute(PATIENCE)
                        changed = await change(connection)
                except (LockNotAvailableError, DeadlockDetectedError):
                    await asyncio.sleep(PAUSE_S)
                except ForeignKeyViolationError as error:
                    raise UnauthenticatedError("this account does not exist any more") from error
                else:
                    self._wakeups.send(Topic.GATE, Topic.READY)
                    return changed
        raise ContentionError("the queue is too busy to be changed: try again", retry_after=1)

    async def _set_once(self, connection: Hot, actor: Actor, name: str, *values: Any) -> bool:
        if self._most:
            await connection.execute(LOCK_QUEUES, actor.user_id)
            if not await connection.fetchval(HAS_ROOM, actor.user_id, name, self._most):
                raise LimitReachedError(f"you have {self._most:,} queues: delete one first")
        queue_id = await connection.fetchval(SET, actor.user_id, name, *values)
        return await _apply(connection, actor, queue_id)


async def _hold_once(connection: Hot, actor: Actor, name: str, *, paused: bool) -> bool:
    queue_id = await connection.fetchval(HOLD, actor.user_id, name, paused)
    return queue_id is not None and await _apply(connection, actor, queue_id)


async def _retire_once(connection: Hot, actor: Actor, name: str) -> bool:
    row = await connection.fetchrow(RETIRE, actor.user_id, name)
    if row is None or not row["is_there"]:
        return False
    if not row["is_retired"]:
        raise QueueNotEmptyError
    return True


async def _apply(connection: Hot, actor: Actor, queue_id: int) -> bool:
    await connection.execute(LOCK_USER, actor.user_id)
    await connection.execute("select apply_settings($1)", queue_id)
    return True


def _rate(limit: RateLimit | None) -> tuple[int | None, ...]:
    return (None, None, None) if limit is None else (limit.limit, limit.per_ms, limit.tokens)


def _limit(*columns: Any) -> RateLimit | None:
    return None if columns[0] is None else RateLimit(*columns)


def _queue(row: Row) -> Queue:
    rate_limit = _limit(row["rate_limit"], row["rate_per_ms"], row["rate_burst"])
    backlog = Backlog(
        waiting=row["queued"],
        running=row["running"],
        work_s=None if row["paused"] else row["work_s"],
        slots=row["slots"],
        free=row["free"],
        held_up=row["held_up"],
        max_running=row["max_running"],
        starts_per_s=None if rate_limit is None else rate_limit.per_second,
    )
    return Queue(
        name=row["name"],
        paused=row["paused"],
        max_running=row["max_running"],
        rate_limit=rate_limit,
        max_running_per_key=row["max_running_per_key"],
        rate_limit_per_key=_limit(
            row["key_rate_limit"], row["key_rate_per_ms"], row["key_rate_burst"]
        ),
        counts={status: row[str(status)] for status in Status},
        oldest_queued_at=row["oldest"],
        drain_seconds=drain_seconds(backlog),
    )
