"""The schedules, as their owners use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from internal.adapters.postgres.database import Database
from internal.adapters.postgres.owners import lock_owner
from internal.adapters.postgres.schema import schedule
from internal.adapters.postgres.statements import statement
from internal.domain.accounts import Actor
from internal.domain.errors import (
    FieldError,
    LimitReachedError,
    NameTakenError,
    NotFoundError,
)
from internal.domain.listing import Page
from internal.domain.ports.feed import Topic, Wakeups
from internal.domain.ports.schedules import SchedulePage
from internal.domain.schedules import MAX_SCHEDULES, Overlap, Schedule
from internal.domain.slots import Missed, Timing

NAME_ONCE: Final = "schedule_name"

_NOW: Final = select(func.clock_timestamp())


class PostgresSchedules:
    """Fits the port ScheduleStore."""

    def __init__(self, database: Database, wakeups: Wakeups) -> None:
        self._database = database
        self._wakeups = wakeups

    async def now(self) -> datetime:
        async with self._database.begin() as connection:
            return await _now(connection)

    async def add(self, actor: Actor, make: Callable[[datetime], Schedule]) -> Schedule:
        with _named_once():
            async with self._database.begin() as connection:
                await lock_owner(connection, actor)
                await _require_room(connection, actor)
                new = make(await _now(connection))
                values = {"id": new.id, "user_id": actor.user_id, "created_at": new.created_at}
                await connection.execute(insert(schedule).values(values | _settings(new)))
        self._wakeups.send(Topic.SCHEDULES)
        return new

    async def get(self, actor: Actor, schedule_id: UUID) -> Schedule:
        async with self._database.begin() as connection:
            query = select(schedule).where(_is(actor, schedule_id))
            return _found((await connection.execute(query)).mappings().one_or_none())

    async def page(self, actor: Actor, page: Page) -> SchedulePage:
        query = select(schedule).where(schedule.c.user_id == actor.user_id)
        if page.before is not None:
            query = query.where(schedule.c.id < page.before)
        async with self._database.begin() as connection:
            ordered = query.order_by(schedule.c.id.desc()).limit(page.limit + 1)
            found = [shown(row) for row in (await connection.execute(ordered)).mappings()]
        more = len(found) > page.limit
        return SchedulePage(found[: page.limit], found[page.limit - 1].id if more else None)

    async def change(
        self, actor: Actor, schedule_id: UUID, change: Callable[[Schedule, datetime], Schedule]
    ) -> Schedule:
        mine = _is(actor, schedule_id)
        with _named_once():
            async with self._database.begin() as connection:
                locked = select(schedule).where(mine).with_for_update(key_share=True)
                before = _found((await connection.execute(locked)).mappings().one_or_none())
                # After the wait for the lock: a slot that ran meanwhile is over.
                changed = change(before, await _now(connection))
                await connection.execute(update(schedule).where(mine).values(_settings(changed)))
        self._wakeups.send(Topic.SCHEDULES)
        return changed

    async def is_busy(self, actor: Actor, schedule: Schedule) -> bool:
        if schedule.last_job_id is None:
            return False
        async with self._database.hot() as connection:
            values = ([actor.user_id], [schedule.last_job_id])
            return bool(await connection.fetch(statement("unended"), *values))

    async def note_run(self, actor: Actor, schedule_id: UUID, job_id: UUID) -> None:
        ran = {"last_run_at": func.now(), "last_job_id": job_id}
        async with self._database.begin() as connection:
            change = update(schedule).where(_is(actor, schedule_id)).values(ran)
            await connection.execute(change)

    async def delete(self, actor: Actor, schedule_id: UUID) -> None:
        async with self._database.begin() as connection:
            gone = await connection.execute(delete(schedule).where(_is(actor, schedule_id)))
        if gone.rowcount == 0:
            raise _not_found()


def shown(row: Any) -> Schedule:
    """A row, by the names of its columns, as the rules know it."""
    return Schedule(
        id=row["id"],
        name=row["name"],
        timing=Timing(row["cron"], row["every_ms"], row["timezone"], row["anchor"]),
        missed=Missed(row["missed"]),
        overlap=Overlap(row["overlap"]),
        paused=row["paused"],
        job=row["job"],
        next_run_at=row["next_run_at"],
        held_until=row["held_until"],
        last_run_at=row["last_run_at"],
        last_job_id=row["last_job_id"],
        last_error=row["last_error"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _settings(new: Schedule) -> dict[str, Any]:
    """What its owner can change, and what follows from that."""
    return {
        "name": new.name,
        "cron": new.timing.cron,
        "every_ms": new.timing.every_ms,
        "timezone": new.timing.timezone,
        "anchor": new.timing.anchor,
        "missed": new.missed,
        "overlap": new.overlap,
        "paused": new.paused,
        "job": new.job,
        "next_run_at": new.next_run_at,
        "held_until": new.held_until,
        "last_error": new.last_error,
        "updated_at": new.updated_at,
    }


async def _require_room(connection: AsyncConnection, actor: Actor) -> None:
    query = select(func.count()).where(schedule.c.user_id == actor.user_id)
    if (await connection.execute(query)).scalar_one() >= MAX_SCHEDULES:
        raise LimitReachedError(f"you have {MAX_SCHEDULES:,} schedules: delete one first")


async def _now(connection: AsyncConnection) -> datetime:
    now: datetime = (await connection.execute(_NOW)).scalar_one()
    return now


def _is(actor: Actor, schedule_id: UUID) -> Any:
    return and_(schedule.c.id == schedule_id, schedule.c.user_id == actor.user_id)


def _found(row: Any) -> Schedule:
    if row is None:
        raise _not_found()
    return shown(row)


def _not_found() -> NotFoundError:
    return NotFoundError("there is no such schedule, or it is not yours")


@contextmanager
def _named_once() -> Iterator[None]:
    """Say that a name is taken; anything else that a constraint refuses is a fault of ours."""
    try:
        yield
    except IntegrityError as error:
        cause = error.orig.__cause__ if error.orig else None
        if getattr(cause, "constraint_name", None) != NAME_ONCE:
            raise
        fault = FieldError("name", "is the name of another schedule of yours")
        raise NameTakenError(details=(fault,)) from error
