"""Carries the feed to those who watch: each hears of their own jobs only."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.jobs import JobSummary, Status
from internal.domain.ports.feed import Change, Feed, Kind, Topic
from internal.domain.ports.jobs import Summaries
from internal.services.duty import Duty

READ_AT_ONCE: Final = 200
# 25 ms of the database's time; a thousand batches at once must not be one statement.
LOOKED_UP_AT_ONCE: Final = 1_000
# A watcher with more unsent events than this is told to read the list again instead.
MAX_UNSENT: Final = 1_000
# The feed keeps ten minutes; whoever reads it after a longer pause may have missed something.
LONGEST_GAP_S: Final = 300.0


class Signal(StrEnum):
    """What a watcher is told besides news of jobs."""

    RESYNC = "resync"
    ENDED = "ended"


class JobEvent(msgspec.Struct, frozen=True):
    """A job as it stands now, under the name of its status, or `job.progress`."""

    event: str
    job: JobSummary


News = JobEvent | Signal


class Watcher:
    """One live connection's events, in order; a slow reader gets a resync for what is dropped."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self._unsent: list[News] = []
        self._arrived = asyncio.Event()

    async def next(self) -> list[News]:
        """Wait for news; everything that came since the last call."""
        await self._arrived.wait()
        self._arrived.clear()
        unsent, self._unsent = self._unsent, []
        return unsent

    def tell(self, news: Sequence[News]) -> None:
        """Add news; nothing matters after a Signal.ENDED."""
        self._unsent.extend(news)
        if len(self._unsent) > MAX_UNSENT:
            ended = [Signal.ENDED] if Signal.ENDED in self._unsent else []
            self._unsent = [Signal.RESYNC, *ended]
        self._arrived.set()


class Live:
    """All live connections of one process, and their one reader of the feed."""

    def __init__(self, feed: Feed, summaries: Summaries) -> None:
        self._feed = feed
        self._summaries = summaries
        self._watchers: defaultdict[UUID, set[Watcher]] = defaultdict(set)
        self._position: int | None = None
        self._read_at = time.monotonic()

    def duty(self) -> Duty:
        """The reader, to be run beside the server."""
        pause = timedelta(seconds=1)
        return Duty("live", self.run_once, pause=pause, topics=(Topic.FEED,))

    def watch(self, actor: Actor) -> Watcher:
        """Begin to hear of this user's jobs; `leave` ends it."""
        watcher = Watcher(actor)
        self._watchers[actor.user_id].add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """End a watch; twice is fine."""
        watchers = self._watchers.get(watcher.actor.user_id, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(watcher.actor.user_id, None)

    async def run_once(self) -> timedelta | None:
        """Read what is new and pass it on; zero when there may be more."""
        if self._position is None:
            self._position = await self._feed.newest()
            self._resync_all()
        changes = await self._feed.after(self._position, READ_AT_ONCE)
        if time.monotonic() - self._read_at > LONGEST_GAP_S:
            self._resync_all()
        self._read_at = time.monotonic()
        if changes:
            await self._pass_on([each for each in changes if each.user_id in self._watchers])
            self._position = changes[-1].position
        return timedelta(0) if len(changes) == READ_AT_ONCE else None

    async def _pass_on(self, changes: Sequence[Change]) -> None:
        """Look all jobs up first; one that is deleted by now has no event of its own."""
        flooding = _flooding(changes)
        for user_id in flooding:
            self._tell(user_id, [Signal.RESYNC])
        of_jobs = [each for each in changes if each.kind is not Kind.ENDED]
        jobs = await self._look_up([each for each in of_jobs if each.user_id not in flooding])
        for change in changes:
            match change.kind:
                case Kind.RESYNC:
                    self._tell(change.user_id, [Signal.RESYNC])
                case Kind.ENDED:
                    self._end(change.user_id, set(change.ids))
                case Kind.CHANGED | Kind.PROGRESS:
                    found = [jobs[each] for each in change.ids if each in jobs]
                    # The oldest change first, as far as one look can tell.
                    found.sort(key=lambda job: job.updated_at)
                    self._tell(change.user_id, [_event(change.kind, job) for job in found])

    async def _look_up(self, changes: Sequence[Change]) -> dict[UUID, JobSummary]:
        owners = list({each.user_id for each in changes})
        ids = list({job_id for each in changes for job_id in each.ids})
        jobs: dict[UUID, JobSummary] = {}
        for start in range(0, len(ids), LOOKED_UP_AT_ONCE):
            part = ids[start : start + LOOKED_UP_AT_ONCE]
            found = await self._summaries.summaries(owners, part)
            jobs |= {job.id: job for own in found.values() for job in own}
        return jobs

    def _tell(self, user_id: UUID, news: Sequence[News]) -> None:
        for watcher in self._watchers.get(user_id, ()):
            watcher.tell(news)

    def _resync_all(self) -> None:
        for user_id in self._watchers:
            self._tell(user_id, [Signal.RESYNC])

    def _end(self, user_id: UUID, sessions: set[UUID]) -> None:
        for watcher in self._watchers.get(user_id, ()):
            if watcher.actor.session_id in sessions:
                watcher.tell([Signal.ENDED])


def _flooding(changes: Sequence[Change]) -> set[UUID]:
    """Whose jobs changed more often than a watcher is told one by one."""
    events = Counter[UUID]()
    for each in changes:
        if each.kind is not Kind.ENDED:
            events[each.user_id] += len(each.ids)
    return {user_id for user_id, number in events.items() if number > MAX_UNSENT}


def _event(kind: Kind, job: JobSummary) -> JobEvent:
    progressed = kind is Kind.PROGRESS and job.status is Status.RUNNING
    return JobEvent("job.progress" if progressed else f"job.{job.status}", job)
