from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from internal.domain.accounts import Actor
from internal.domain.ids import new_id
from internal.domain.jobs import Status
from internal.services.watcher import MAX_UNSENT, JobEvent, Signal, Watcher
from tests.support.summaries import a_summary

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def a_watcher() -> Watcher:
    return Watcher(Actor(new_id(), uuid4(), NOW))


def an_event() -> JobEvent:
    return JobEvent("job.queued", a_summary(status=Status.QUEUED))


async def test_events_come_in_order_and_once() -> None:
    watcher = a_watcher()
    first, second, third = an_event(), an_event(), an_event()
    watcher.tell([first])
    watcher.tell([second])
    assert await watcher.next() == [first, second]
    watcher.tell([third])
    assert await watcher.next() == [third]


async def test_a_reader_waits_until_something_comes() -> None:
    watcher = a_watcher()
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    watcher.tell([Signal.RESYNC])
    assert await waiting == [Signal.RESYNC]


async def test_a_reader_who_is_too_slow_is_told_to_read_the_list_again() -> None:
    watcher = a_watcher()
    watcher.tell([an_event()] * MAX_UNSENT)
    watcher.tell([an_event()])
    later = an_event()
    watcher.tell([later])
    assert await watcher.next() == [Signal.RESYNC, later]


async def test_a_reader_who_is_just_fast_enough_gets_everything() -> None:
    watcher = a_watcher()
    events = [an_event() for _ in range(MAX_UNSENT)]
    watcher.tell(events)
    assert await watcher.next() == events


async def test_the_end_is_never_dropped() -> None:
    watcher = a_watcher()
    watcher.tell([an_event(), Signal.ENDED])
    watcher.tell([an_event()] * MAX_UNSENT)
    assert await watcher.next() == [Signal.RESYNC, Signal.ENDED]
