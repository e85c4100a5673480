"""Carries the feed to those who watch: each hears of their own jobs only."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.errors import UnavailableError
from internal.domain.jobs import JobSummary, Status
from internal.domain.ports.batches import BatchNews
from internal.domain.ports.feed import Change, Feed, Kind, Topic
from internal.domain.ports.jobs import Summaries
from internal.services.allowance import Allowance, Resyncs
from internal.services.audience import Audience
from internal.services.duty import Duty
from internal.services.watcher import MAX_UNSENT, BatchEvent, JobEvent, LogEvent, News, Signal

READ_AT_ONCE: Final = 200
# A look-up takes 25 microseconds of the database's time: a twentieth of a core for each process,
# however many jobs move. What is beyond is told by a resync.
EVENTS_PER_S: Final = 1_000
# Of one user in one look. The jobs of each are counted, ten thousand in some 20 ms.
MOST_BATCHES: Final = 20
# The feed keeps ten minutes; whoever reads it after a longer pause may have missed something.
LONGEST_GAP_S: Final = 300.0
MOST_REPORTED: Final = 1_000

_log = logging.getLogger(__name__)


class _Digest(msgspec.Struct):
    """What one read of the feed says about one user."""

    changed: set[UUID] = msgspec.field(default_factory=set)
    progressed: set[UUID] = msgspec.field(default_factory=set)
    logged: set[UUID] = msgspec.field(default_factory=set)
    ended: set[UUID] = msgspec.field(default_factory=set)
    batches: set[UUID] = msgspec.field(default_factory=set)
    is_too_much: bool = False

    @property
    def jobs(self) -> set[UUID]:
        return self.changed | self.progressed

    @property
    def events(self) -> int:
        return len(self.jobs) + len(self.logged) + len(self.batches)


class Live:
    """The one reader of the feed of a process."""

    def __init__(
        self,
        feed: Feed,
        summaries: Summaries,
        batches: BatchNews,
        audience: Audience,
        *,
        events_per_s: float = EVENTS_PER_S,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._feed = feed
        self._summaries = summaries
        self._batches = batches
        self._audience = audience
        self._allowance = Allowance(events_per_s, MAX_UNSENT)
        self._resyncs = Resyncs()
        self._position: int | None = None
        self._reported: set[UUID] = set()
        self._now = now
        self._read_at = now()

    def duty(self) -> Duty:
        """The reader, to be run beside the server."""
        pause = timedelta(seconds=1)
        return Duty("live", self.run_once, pause=pause, topics=(Topic.FEED,))

    async def run_once(self) -> timedelta | None:
        """Read what is new and pass it on; how soon to come again, zero when there may be more."""
        if self._position is None:
            self._position = await self._feed.newest()
            self._resyncs.ask(self._audience.users)
        changes = await self._feed.after(self._position, READ_AT_ONCE)
        if self._now() - self._read_at > LONGEST_GAP_S:
            self._resyncs.ask(self._audience.users)
        self._read_at = self._now()
        if changes:
            await self._pass_on_all(changes)
            self._position = changes[-1].position
        pause = self._tell_resyncs()
        return timedelta(0) if len(changes) == READ_AT_ONCE else pause

    async def _pass_on_all(self, changes: Sequence[Change]) -> None:
        """Pass changes on; where that fails, those of each user alone.

        Whose still fail are told to read again: nothing of one user's holds up the others.
        """
        heard = [each for each in changes if self._audience.of(each.user_id)]
        try:
            await self._pass_on(heard)
        except UnavailableError:
            raise
        except Exception:  # noqa: BLE001 - whatever one row did to the look-up
            for user_id in dict.fromkeys(each.user_id for each in heard):
                await self._pass_on_alone([each for each in heard if each.user_id == user_id])

    async def _pass_on_alone(self, changes: Sequence[Change]) -> None:
        """Pass on what is of one user."""
        try:
            await self._pass_on(changes)
        except UnavailableError:
            raise
        except Exception:  # noqa: BLE001 - as above
            self._resyncs.ask([changes[0].user_id])
            self._report(changes[0].user_id)

    def _report(self, user_id: UUID) -> None:
        """Say it once: the row that cannot be read may change often."""
        if user_id not in self._reported and len(self._reported) < MOST_REPORTED:
            self._reported.add(user_id)
            told = {"user_id": str(user_id)}
            _log.exception("a user's changes cannot be told, they are to read again", extra=told)

    async def _pass_on(self, changes: Iterable[Change]) -> None:
        digests = _digests(changes)
        told = self._choose(digests)
        jobs = await self._look_up(told)
        self._resyncs.ask(digests.keys() - told.keys())
        for user_id, digest in told.items():
            # The oldest change first, as far as one look can tell.
            found = sorted(jobs.get(user_id, ()), key=lambda job: job.updated_at)
            news: list[News] = [_event(job, digest) for job in found]
            news += [LogEvent(job_id) for job_id in digest.logged]
            if news:
                self._audience.tell(user_id, news)
            if digest.batches:
                await self._tell_batches(user_id, digest.batches)
        for user_id, digest in digests.items():
            for watcher in self._audience.of(user_id):
                if watcher.actor.session_id in digest.ended:
                    watcher.tell([Signal.ENDED])

    def _choose(self, digests: dict[UUID, _Digest]) -> dict[UUID, _Digest]:
        """Whose jobs are told one by one: those of few first, so that a flood is what waits."""
        now = self._now()
        return {
            user_id: digest
            for user_id, digest in sorted(digests.items(), key=lambda each: each[1].events)
            if not digest.is_too_much and self._allowance.allows(digest.events, now)
        }

    async def _look_up(self, told: dict[UUID, _Digest]) -> dict[UUID, list[JobSummary]]:
        """Jobs as they are by now; one that is deleted has no event of its own."""
        ids = [job_id for digest in told.values() for job_id in digest.jobs]
        return await self._summaries.summaries(list(told), ids) if ids else {}

    async def _tell_batches(self, user_id: UUID, batches: set[UUID]) -> None:
        found = await self._batches.progress([user_id], list(batches))
        events = [BatchEvent("batch.finished", each) for each in found.get(user_id, ())]
        self._audience.tell(user_id, events)

    def _tell_resyncs(self) -> timedelta | None:
        now = self._now()
        for user_id in self._resyncs.take(now):
            self._audience.tell(user_id, [Signal.RESYNC])
        pause = self._resyncs.next_in(now)
        return None if pause is None else timedelta(seconds=pause)


def _digests(changes: Iterable[Change]) -> dict[UUID, _Digest]:
    digests: dict[UUID, _Digest] = {}
    for change in changes:
        if change.kind is None:
            continue  # it is for readers of a newer release
        digest = digests.setdefault(change.user_id, _Digest())
        if change.ids is None:
            digest.is_too_much = True
            continue
        match change.kind:
            case Kind.CHANGED:
                digest.changed.update(change.ids)
            case Kind.PROGRESS:
                digest.progressed.update(change.ids)
            case Kind.LOGGED:
                digest.logged.update(change.ids)
            case Kind.ENDED:
                digest.ended.update(change.ids)
            case Kind.BATCH:
                digest.batches.update(change.ids)
                digest.is_too_much |= len(digest.batches) > MOST_BATCHES
    return digests


def _event(job: JobSummary, digest: _Digest) -> JobEvent:
    progressed = job.id not in digest.changed and job.status is Status.RUNNING
    return JobEvent("job.progress" if progressed else f"job.{job.status}", job)
