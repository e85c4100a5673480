"""Schedules, and what runs them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from internal.adapters.calendar.cron import CronCalendar
from internal.adapters.handlers import shipped
from internal.adapters.postgres.due_schedules import PostgresDueSchedules
from internal.domain import schedules
from internal.domain.accounts import Actor
from internal.domain.handlers import Handlers
from internal.domain.schedules import Schedule, ScheduleRequest
from internal.domain.submission import JobDefaults
from internal.services.scheduler import Scheduler
from tests.support.store import AGING, DEFAULTS, Store

CALENDAR: Final = CronCalendar()

LATE: Final = """
    update schedule set next_run_at = next_run_at - $1::interval, anchor = anchor - $1::interval,
                        held_until = held_until - $1::interval
    where next_run_at is not null
"""


def a_scheduler(store: Store, defaults: JobDefaults = DEFAULTS) -> Scheduler:
    """As one worker process has it."""
    due = PostgresDueSchedules(
        store.database,
        store.wakeups,
        AGING,
        most_unfinished=store.most_unfinished,
        most_queues=store.most_queues,
    )
    return Scheduler(due, CALENDAR, Handlers(shipped()), defaults)


async def a_schedule(store: Store, actor: Actor, **fields: Any) -> Schedule:
    """One that a user has made."""
    timing = {} if "cron" in fields else {"every_ms": 60_000}
    body = {"name": "a", "job": {"type": "noop"}, **timing, **fields}
    request = msgspec.json.decode(msgspec.json.encode(body), type=ScheduleRequest)
    return await store.schedules.add(actor, lambda now: schedules.create(request, now, CALENDAR))


async def be_late(store: Store, by: timedelta) -> None:
    """As if no worker had run for so long: every schedule stands where it stood then."""
    await store.execute(LATE, by)


async def work_off(store: Store, defaults: JobDefaults = DEFAULTS) -> None:
    """Run whatever is due."""
    scheduler = a_scheduler(store, defaults)
    while await is_any_due(store):
        await scheduler.run_once()


async def copy(store: Store, number: int) -> list[UUID]:
    """So many more that are as the one there is; all ids."""
    query = """
        insert into schedule
        select (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'name', n))).*
        from schedule s, generate_series(1, $1) n
    """
    await store.execute(query, number)
    async with store.database.hot() as connection:
        return [row["id"] for row in await connection.fetch("select id from schedule")]


async def is_any_due(store: Store) -> bool:
    query = """
        select exists (
          select from schedule where greatest(next_run_at, held_until) <= now())
    """
    async with store.database.hot() as connection:
        found: bool = await connection.fetchval(query)
    return found


async def keys(store: Store) -> list[str]:
    """The idempotency key of every job."""
    async with store.database.hot() as connection:
        rows = await connection.fetch("select idempotency_key from job")
    return [row["idempotency_key"] for row in rows]
