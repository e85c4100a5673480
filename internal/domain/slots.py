"""The times at which a schedule runs, and which of them when some were missed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count, islice, takewhile
from typing import Final

import msgspec

from internal.domain.ports.calendar import Calendar

# So late the newest slot is still taken for on time: a deploy must not cost a daily job its day.
GRACE: Final = timedelta(seconds=60)
# Of what `all` makes up, the newest; as many as one batch may hold.
MOST_MADE_UP: Final = 10_000

# The slots after a given moment, in order.
Slots = Callable[[datetime], Iterator[datetime]]


class Missed(StrEnum):
    """What becomes of slots that nobody was there to run in time."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Timing(msgspec.Struct, frozen=True):
    """By the calendar, or at a fixed distance counted from `anchor`."""

    cron: str | None
    every_ms: int | None
    timezone: str
    anchor: datetime

    @property
    def step(self) -> timedelta:
        """No two slots are closer than this."""
        if self.every_ms is None:
            return timedelta(minutes=1)
        return timedelta(milliseconds=self.every_ms)

    def slots(self, calendar: Calendar) -> Slots:
        """When this timing has slots."""
        if self.cron is None:
            return self._multiples
        cron = self.cron
        return lambda after: calendar.slots(cron, self.timezone, after)

    def first(self, calendar: Calendar, after: datetime) -> datetime | None:
        """The first slot after a moment, None when there is none any more."""
        return next(self.slots(calendar)(after), None)

    def _multiples(self, after: datetime) -> Iterator[datetime]:
        """Each counted from the anchor: no slot's lateness moves the next one."""
        passed = max((after - self.anchor) // self.step, 0)
        return (self.anchor + number * self.step for number in count(passed + 1))


class Plan(msgspec.Struct, frozen=True):
    """The slots to run now, and the first one that is left for later."""

    slots: tuple[datetime, ...]
    next_run_at: datetime | None


class Due(msgspec.Struct, frozen=True):
    """The slots from `first`, which has come, to `now`; no two are closer than `step`."""

    slots: Slots
    step: timedelta
    first: datetime
    now: datetime

    def plan(self, missed: Missed, at_once: int) -> Plan:
        """Which of them run now.

        `all` runs the newest 10,000, so many at once and in order. `once` runs the newest, for all
        of them; and so does `skip`, unless that one is later than the grace.
        """
        if missed is Missed.ALL:
            return self._part(self._oldest_made_up(), at_once)
        newest, following = self._newest_and_following()
        if missed is Missed.SKIP:
            newest = [slot for slot in newest if self.now - slot <= GRACE]
        return Plan(tuple(newest), following)

    def oldest(self) -> Plan:
        """It alone: enough to see whether there is room again, and nothing to look back for."""
        return self._part(self.first, 1)

    def _newest_and_following(self) -> tuple[list[datetime], datetime | None]:
        """Mostly one slot is due: to look on from there takes a tenth of looking back from now."""
        soonest = list(islice(self._from(self.first), 2))
        due = [slot for slot in soonest if slot <= self.now]
        if len(due) > 1:
            return self._newest(1), self._following()
        return due, next(iter(soonest[len(due) :]), None)

    def _part(self, start: datetime, at_once: int) -> Plan:
        made_up = list(islice(self._due_from(start), at_once + 1))
        if len(made_up) > at_once:
            return Plan(tuple(made_up[:at_once]), made_up[at_once])
        return Plan(tuple(made_up), self._following())

    def _oldest_made_up(self) -> datetime:
        if self.now - self.first <= MOST_MADE_UP * self.step:  # there can be no more than that
            return self.first
        return next(iter(self._newest(MOST_MADE_UP)), self.now)

    def _newest(self, most: int) -> list[datetime]:
        """At most so many, in order.

        It looks back as far as so many reach at the least, and then twice as far again and again:
        to go through a year of minutes takes ten seconds.
        """
        reach = most * self.step
        while True:
            start = max(self.first, self.now - reach)
            found = list(deque(self._due_from(start), maxlen=most))
            if start == self.first or len(found) == most:
                return found
            reach *= 2

    def _due_from(self, start: datetime) -> Iterator[datetime]:
        return takewhile(lambda slot: slot <= self.now, self._from(start))

    def _from(self, start: datetime) -> Iterator[datetime]:
        """A slot at the start too."""
        return self.slots(start - timedelta(microseconds=1))

    def _following(self) -> datetime | None:
        return next(self.slots(self.now), None)
