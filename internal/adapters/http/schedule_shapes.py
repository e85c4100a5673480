"""Schedules as the API shows them; each `...Answer` is an envelope."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Raw

from internal.domain import schedules
from internal.domain.schedules import MAX_PREVIEW, Overlap
from internal.domain.slots import Missed
from internal.domain.times import Moment

# As it was kept: what a later release would refuse can still be looked at.
KeptSubmission = Annotated[Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/Submission"})]

PREVIEWED: Final = 10


class Schedule(msgspec.Struct, frozen=True):
    """A schedule; `next_run_at` is null while it is paused. `last_error` is of its last slots."""

    id: UUID
    name: str
    cron: str | None
    every_ms: int | None
    timezone: str
    missed: Missed
    overlap: Overlap
    paused: bool
    job: KeptSubmission
    next_run_at: Moment | None
    last_run_at: Moment | None
    last_job_id: UUID | None
    last_error: str | None
    created_at: Moment
    updated_at: Moment


class ScheduleAnswer(msgspec.Struct, frozen=True):
    """One schedule."""

    data: Schedule


class SchedulesAnswer(msgspec.Struct, frozen=True):
    """A page of schedules, the newest first; `next_cursor` is null on the last one."""

    data: list[Schedule]
    next_cursor: str | None


class PreviewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many slots to tell."""

    n: Annotated[int, Meta(ge=1, le=MAX_PREVIEW, description="How many times to tell")] = PREVIEWED


class PreviewAnswer(msgspec.Struct, frozen=True):
    """The next slots, the soonest first."""

    data: list[Moment]


def shown_schedule(schedule: schedules.Schedule) -> Schedule:
    """A schedule's answer."""
    return Schedule(
        id=schedule.id,
        name=schedule.name,
        cron=schedule.timing.cron,
        every_ms=schedule.timing.every_ms,
        timezone=schedule.timing.timezone,
        missed=schedule.missed,
        overlap=schedule.overlap,
        paused=schedule.paused,
        job=Raw(schedule.job),
        next_run_at=schedule.next_run_at,
        last_run_at=schedule.last_run_at,
        last_job_id=schedule.last_job_id,
        last_error=schedule.last_error,
        created_at=schedule.created_at,
        updated_at=schedule.updated_at,
    )
