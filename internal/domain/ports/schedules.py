"""Keeping schedules, and running those that are due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.listing import Page
from internal.domain.schedules import Schedule
from internal.domain.submission import NewJob


class SchedulePage(msgspec.Struct, frozen=True):
    """One page; `next_before` starts the next one, None at the end."""

    schedules: list[Schedule]
    next_before: UUID | None


class ScheduleStore(Protocol):
    """One's own schedules; what is another user's raises NotFoundError, as what is unknown.

    All times that rules are given are the database's.
    """

    async def now(self) -> datetime:
        """The database's time."""

    async def add(self, actor: Actor, make: Callable[[datetime], Schedule]) -> Schedule:
        """Keep what `make` makes of the time. Additions of one user wait for each other.

        Raises:
            NameTakenError: when the user has one of this name.
            LimitReachedError: when the user has 1,000.
        """

    async def get(self, actor: Actor, schedule_id: UUID) -> Schedule:
        """The schedule."""

    async def page(self, actor: Actor, page: Page) -> SchedulePage:
        """One page, the newest first."""

    async def change(
        self, actor: Actor, schedule_id: UUID, change: Callable[[Schedule, datetime], Schedule]
    ) -> Schedule:
        """Keep what `change` makes of a schedule, while its lock keeps it from being run.

        Raises:
            NameTakenError: when the user has another one of this name.
        """

    async def is_busy(self, actor: Actor, schedule: Schedule) -> bool:
        """Whether the job of its last slot or run has not ended."""

    async def note_run(self, actor: Actor, schedule_id: UUID, job_id: UUID) -> None:
        """Note the job of a run that its owner asked for; nothing when the schedule is gone."""

    async def delete(self, actor: Actor, schedule_id: UUID) -> None:
        """Forget a schedule. Its jobs stay."""


class Firing(msgspec.Struct, frozen=True):
    """What becomes of a schedule that is due: jobs to keep, or why there are none.

    `patient`: the slots of the jobs, when those stay due for which their user has no room.
    """

    jobs: tuple[NewJob, ...]
    next_run_at: datetime | None
    error: str | None = None
    patient: tuple[datetime, ...] = ()


class Decide(Protocol):
    """Says what becomes of a schedule that is due."""

    def __call__(self, schedule: Schedule, now: datetime, *, is_busy: bool) -> Firing:
        """`is_busy`: it skips overlaps, and the job of its last slot or run has not ended."""


class DueSchedules(Protocol):
    """Running schedules, by any number of processes at once."""

    async def fire(self, limit: int, decide: Decide) -> timedelta | None:
        """Run up to `limit` schedules that are due; when to look again, None when nothing is.

        Each is locked, and those that others hold are left to them. Jobs are kept and schedules
        moved on in one transaction, so that a crash at any moment leaves both or neither. What is
        refused of one schedule is noted with it, and holds up no other. Slots that stay due for
        want of room are tried again some seconds later, behind all others.
        """
