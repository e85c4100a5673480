from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from internal.domain.accounts import Actor
from internal.domain.batches import BatchProgress
from internal.domain.errors import UnavailableError
from internal.domain.ids import new_id
from internal.domain.jobs import JobSummary, Status
from internal.domain.ports.feed import Change, Kind
from internal.services.audience import Audience
from internal.services.live import EVENTS_PER_S, MOST_BATCHES, READ_AT_ONCE, Live
from internal.services.watcher import (
    MAX_UNSENT,
    BatchEvent,
    JobEvent,
    LogEvent,
    News,
    Signal,
    Watcher,
)
from tests.support.audience import an_actor
from tests.support.summaries import a_summary


class Story:
    """Jobs and batches that all succeeded, as the ports show them, and the Live that reads it."""

    def __init__(self, *, events_per_s: float = EVENTS_PER_S) -> None:
        self.changes: list[Change] = []
        self.asked: list[int] = []
        self.now = 0.0
        self.unreadable: set[UUID] = set()
        self.away = False
        self.audience = Audience(self)
        self.live = Live(
            self, self, self, self.audience, events_per_s=events_per_s, now=lambda: self.now
        )

    async def a_watcher(self, actor: Actor | None = None) -> Watcher:
        """One who comes after the feed's beginning."""
        await self.live.run_once()
        return self.audience.join(actor or an_actor())

    def add(self, watcher: Watcher, jobs: int | None, kind: Kind = Kind.CHANGED) -> None:
        ids = None if jobs is None else tuple(new_id() for _ in range(jobs))
        self.repeat(Change(0, watcher.actor.user_id, kind, ids))

    def repeat(self, change: Change) -> None:
        position = len(self.changes) + 1
        self.changes.append(Change(position, change.user_id, change.kind, change.ids))

    async def listen(self, user_ids: Collection[UUID], ttl: timedelta) -> set[UUID]:
        return set(user_ids)

    async def telling(self) -> set[str]:
        return set()

    async def newest(self) -> int:
        return 0

    async def after(self, position: int, limit: int) -> list[Change]:
        return self.changes[position : position + limit]

    async def summaries(
        self, owners: Sequence[UUID], job_ids: Sequence[UUID]
    ) -> dict[UUID, list[JobSummary]]:
        if self.away:
            raise UnavailableError("away")
        if self.unreadable & set(job_ids):
            raise OverflowError("date value out of range")
        self.asked.append(len(job_ids))
        owner = {each: change.user_id for change in self.changes for each in change.ids or ()}
        found: dict[UUID, list[JobSummary]] = {}
        for job_id in job_ids:
            found.setdefault(owner[job_id], []).append(a_summary(job_id))
        return found

    async def progress(
        self, owners: Sequence[UUID], batch_ids: Sequence[UUID]
    ) -> dict[UUID, list[BatchProgress]]:
        if self.unreadable & set(batch_ids):
            raise OverflowError("date value out of range")
        self.asked.append(len(batch_ids))
        (owner,) = owners
        return {owner: [a_batch(each) for each in batch_ids]}


def a_batch(batch_id: UUID) -> BatchProgress:
    now = datetime.now(UTC)
    counts = {status: 3 * (status is Status.SUCCEEDED) for status in Status}
    return BatchProgress(batch_id, 3, 3, counts, created_at=now, finished_at=now)


async def test_the_end_of_a_batch_is_told_behind_its_jobs_and_many_as_a_resync() -> None:
    story = Story()
    few, many, stranger = [await story.a_watcher() for _ in range(3)]
    story.add(few, 2, Kind.BATCH)
    story.add(few, 1)
    story.add(many, MOST_BATCHES, Kind.BATCH)
    story.add(many, 1, Kind.BATCH)

    await story.live.run_once()

    told = [each.event for each in await few.next() if isinstance(each, JobEvent | BatchEvent)]
    assert told == ["job.succeeded", "batch.finished", "batch.finished"]
    assert await many.next() == [Signal.RESYNC]
    assert story.asked == [1, 2]
    story.add(stranger, 1)
    await story.live.run_once()
    assert len(await stranger.next()) == 1


async def test_the_changes_of_those_who_do_not_watch_are_not_looked_up() -> None:
    story = Story()
    watcher = await story.a_watcher()
    story.add(Watcher(an_actor()), 1)
    story.add(watcher, 1)

    await story.live.run_once()

    assert len(await watcher.next()) == 1
    assert story.asked == [1]


async def test_a_flood_of_one_user_is_told_as_a_resync_and_not_looked_up() -> None:
    story = Story()
    flooded, quiet = await story.a_watcher(), await story.a_watcher()
    for _ in range(3):
        story.add(flooded, 400)
    story.add(quiet, 1)

    await story.live.run_once()

    assert await flooded.next() == [Signal.RESYNC]
    assert len(await quiet.next()) == 1
    assert story.asked == [1]


async def test_what_is_more_than_worth_naming_is_told_as_a_resync() -> None:
    story = Story()
    watcher = await story.a_watcher()
    story.add(watcher, 3)
    story.add(watcher, None)

    await story.live.run_once()

    assert await watcher.next() == [Signal.RESYNC]
    assert story.asked == []


async def test_a_job_that_changed_twice_between_two_reads_is_told_once() -> None:
    story = Story()
    watcher = await story.a_watcher()
    story.add(watcher, 2)
    story.repeat(story.changes[-1])

    await story.live.run_once()

    assert len(await watcher.next()) == 2


async def test_many_users_changes_are_told_up_to_a_rate_the_fewest_first() -> None:
    story = Story(events_per_s=1_000)
    watchers = [await story.a_watcher() for _ in range(4)]

    async def told(*jobs: int) -> list[int]:
        for watcher, number in zip(watchers, jobs, strict=True):
            story.add(watcher, number)
        await story.live.run_once()
        news = [await heard(watcher) for watcher in watchers]
        return [sum(each is not Signal.RESYNC for each in some) for some in news]

    assert MAX_UNSENT == 1_000
    assert await told(500, 400, 300, 200) == [0, 400, 300, 200]
    story.now += 1
    assert await told(1, 999, 1_000, 1_000) == [1, 999, 0, 0]
    story.now += 0.5
    assert await told(501, 100, 300, 200) == [0, 100, 0, 200]


async def test_a_flood_that_goes_on_is_told_once_a_second_and_after_its_end() -> None:
    story = Story()
    watcher = await story.a_watcher()

    resyncs = 0
    for _ in range(20):
        story.add(watcher, None)
        await story.live.run_once()
        resyncs += len(await heard(watcher))
        story.now += 0.125
    pause = await story.live.run_once()
    assert pause is not None
    assert await heard(watcher) == []
    story.now += pause.total_seconds()
    assert await story.live.run_once() is None
    last = await heard(watcher)
    story.now += 10
    await story.live.run_once()

    assert resyncs == 3
    assert last == [Signal.RESYNC]
    assert await heard(watcher) == []


async def test_a_session_that_ended_ends_its_own_connections_only() -> None:
    story, actor = Story(), an_actor()
    watcher, other = await story.a_watcher(actor), story.audience.join(an_actor(actor.user_id))
    story.repeat(Change(0, actor.user_id, Kind.ENDED, (actor.session_id,)))
    story.add(watcher, 1)

    await story.live.run_once()

    assert (await watcher.next())[-1] is Signal.ENDED
    assert len(await other.next()) == 1


async def heard(watcher: Watcher) -> list[News]:
    """What has arrived, without waiting for more."""
    try:
        async with asyncio.timeout(0):
            return await watcher.next()
    except TimeoutError:
        return []


async def test_logged_jobs_are_told_by_name_and_not_looked_up() -> None:
    story = Story()
    watcher, other = await story.a_watcher(), await story.a_watcher()
    story.add(watcher, 2, Kind.LOGGED)
    story.add(watcher, 1)

    await story.live.run_once()

    *told, first, second = await watcher.next()
    assert [type(each) for each in told] == [JobEvent]
    assert {first, second} == {LogEvent(each) for each in story.changes[0].ids or ()}
    assert story.asked == [1]
    other.tell([Signal.RESYNC])
    assert await other.next() == [Signal.RESYNC]


async def test_more_logged_jobs_than_can_be_told_are_a_resync() -> None:
    story = Story(events_per_s=1)
    watcher = await story.a_watcher()
    for _ in range(3):
        story.add(watcher, 400, Kind.LOGGED)

    await story.live.run_once()

    assert await watcher.next() == [Signal.RESYNC]


async def test_a_row_that_cannot_be_read_is_a_resync_of_its_user_and_of_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    story = Story()
    broken, other = await story.a_watcher(), await story.a_watcher()
    for _ in range(2):
        story.add(broken, 1)
        story.unreadable.update(story.changes[-1].ids or ())
        story.add(other, 1)
        await story.live.run_once()
        assert [type(each) for each in await other.next()] == [JobEvent]
        assert await broken.next() == [Signal.RESYNC]
        story.now += 10

    (line,) = caplog.records
    assert line.user_id == str(broken.actor.user_id)  # type: ignore[attr-defined]
    story.add(broken, 1)
    await story.live.run_once()
    assert [type(each) for each in await broken.next()] == [JobEvent]


async def test_a_batch_that_cannot_be_read_is_a_resync_of_its_user_and_of_no_other() -> None:
    story = Story()
    broken, other = await story.a_watcher(), await story.a_watcher()
    story.add(broken, 1, Kind.BATCH)
    story.unreadable.update(story.changes[-1].ids or ())
    story.add(other, 1, Kind.BATCH)

    await story.live.run_once()

    assert [type(each) for each in await other.next()] == [BatchEvent]
    assert await broken.next() == [Signal.RESYNC]


async def test_kinds_of_a_newer_release_are_passed_by() -> None:
    story = Story()
    watcher = await story.a_watcher()
    for _ in range(READ_AT_ONCE):
        story.repeat(Change(0, watcher.actor.user_id, None, (new_id(),)))
    story.add(watcher, 1)

    assert await story.live.run_once() == timedelta(0)
    assert await heard(watcher) == []
    await story.live.run_once()

    assert [type(each) for each in await watcher.next()] == [JobEvent]


async def test_what_could_not_be_told_while_the_database_was_away_is_told_later() -> None:
    story = Story()
    watcher = await story.a_watcher()
    story.add(watcher, 1)
    story.away = True
    with pytest.raises(UnavailableError):
        await story.live.run_once()
    story.away = False

    await story.live.run_once()

    assert [type(each) for each in await watcher.next()] == [JobEvent]
