"""One live connection's news."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.batches import BatchProgress
from internal.domain.jobs import JobSummary

# A watcher with more unsent events than this is told to read the list again instead.
MAX_UNSENT: Final = 1_000


class Signal(StrEnum):
    """What a watcher is told besides news of jobs and batches."""

    RESYNC = "resync"
    ENDED = "ended"


class JobEvent(msgspec.Struct, frozen=True):
    """A job as it stands now, under the name of its status, or `job.progress`."""

    event: str
    job: JobSummary


class BatchEvent(msgspec.Struct, frozen=True):
    """A batch whose last job has ended, as it stands now."""

    event: str
    batch: BatchProgress


class LogEvent(msgspec.Struct, frozen=True, tag_field="event", tag="job.logged"):
    """A job has logged: whoever shows its log reads on."""

    job_id: UUID


News = JobEvent | LogEvent | BatchEvent | Signal


class Watcher:
    """One live connection's events, in order; a slow reader gets a resync for what is dropped."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self._unsent: list[News] = []
        self._arrived = asyncio.Event()
        self._heard = asyncio.Event()
        self._began = False

    async def begin(self, within_s: float) -> None:
        """Wait until every later change will arrive; once the time is over a resync tells when."""
        try:
            async with asyncio.timeout(within_s):
                await self._heard.wait()
        except TimeoutError:
            pass
        self._began = True

    def hear_all(self) -> None:
        """From now on every change arrives. Until now, after a begin, some may have been missed."""
        self._heard.set()
        if self._began:
            self.tell([Signal.RESYNC])

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
