"""Schedules: jobs that are submitted again and again, as their owners say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from internal.domain.errors import FieldError, ValidationError
from internal.domain.ids import new_id
from internal.domain.ports.calendar import Calendar
from internal.domain.slots import Due, Missed, Plan, Timing
from internal.domain.submission import PRINTABLE, Submission

MAX_SCHEDULES: Final = 1_000
MIN_EVERY_MS: Final = 1_000
MAX_EVERY_MS: Final = 365 * 24 * 3600 * 1000
MAX_PREVIEW: Final = 100

# Of one schedule in a transaction.
MOST_AT_ONCE: Final = 1_000
MOST_BYTES_AT_ONCE: Final = 25 * 1024 * 1024

ScheduleName = Annotated[str, Meta(min_length=1, max_length=100, pattern=PRINTABLE)]
# With tabs, as a crontab may have them.
Cron = Annotated[
    str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x08\x0a-\x1f\x7f]+$(?!\n)")
]
TimezoneName = Annotated[str, Meta(min_length=1, max_length=100, pattern=PRINTABLE)]
EveryMs = Annotated[int, Meta(ge=MIN_EVERY_MS, le=MAX_EVERY_MS)]

# What a submission says about one job, and cannot say about many.
OF_ONE_JOB: Final = {
    "idempotency_key": "is made for each slot by its schedule: leave it out",
    "run_at": "is what the schedule says: leave it out, or send delay_ms",
    "expires_at": "is one moment, and each slot has its own: leave it out, or send expires_in_ms",
    "depends_on": "names jobs that end once, and slots go on: leave it out",
    "name": "is for the jobs of a batch: leave it out",
}


class Overlap(StrEnum):
    """What becomes of a slot that comes while the job of an earlier one has not ended."""

    QUEUE = "queue"
    SKIP = "skip"


class ScheduleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A job to submit again and again: by `cron` in a time zone, or `every_ms`."""

    name: ScheduleName
    cron: Cron | None = None
    every_ms: EveryMs | None = None
    timezone: TimezoneName = "UTC"
    missed: Missed = Missed.SKIP
    overlap: Overlap = Overlap.QUEUE
    paused: bool = False
    job: Submission


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule; `job` is its submission as JSON, the payload as the bytes that came in.

    `next_run_at` is the first slot that has not been dealt with, None while it is paused.
    `held_until` is when it is tried again, while there is no room for its job.
    """

    id: UUID
    name: str
    timing: Timing
    missed: Missed
    overlap: Overlap
    paused: bool
    job: str
    next_run_at: datetime | None
    held_until: datetime | None = None
    last_run_at: datetime | None = None
    last_job_id: UUID | None = None
    last_error: str | None = None
    created_at: datetime
    updated_at: datetime


def check(request: ScheduleRequest, calendar: Calendar, now: datetime) -> None:
    """Refuse what could never run, and what one job of many cannot have.

    Raises:
        ValidationError: naming each field at fault.
    """
    faults = [*_timing_faults(request, calendar, now), *_job_faults(request.job)]
    if faults:
        raise ValidationError.of(*faults)


def create(request: ScheduleRequest, now: datetime, calendar: Calendar) -> Schedule:
    """A new schedule; its first slot comes after now."""
    timing = Timing(request.cron, request.every_ms, request.timezone, _anchor(now))
    return Schedule(
        id=new_id(),
        name=request.name,
        timing=timing,
        missed=request.missed,
        overlap=request.overlap,
        paused=request.paused,
        job=_written(request.job),
        next_run_at=None if request.paused else timing.first(calendar, now),
        created_at=now,
        updated_at=now,
    )


def replace(
    schedule: Schedule, request: ScheduleRequest, now: datetime, calendar: Calendar
) -> Schedule:
    """The schedule as the request has it.

    Unless its timing changes or it was paused, its slots stay as they are, missed ones too.
    """
    timing = Timing(request.cron, request.every_ms, request.timezone, schedule.timing.anchor)
    stays = timing == schedule.timing and not schedule.paused
    if timing != schedule.timing:
        timing = msgspec.structs.replace(timing, anchor=_anchor(now))
    following = schedule.next_run_at if stays else timing.first(calendar, now)
    return msgspec.structs.replace(
        schedule,
        name=request.name,
        timing=timing,
        missed=request.missed,
        overlap=request.overlap,
        paused=request.paused,
        job=_written(request.job),
        next_run_at=None if request.paused else following,
        held_until=None,
        last_error=None,
        updated_at=now,
    )


def pause(schedule: Schedule, now: datetime) -> Schedule:
    """No slot runs any more. Pausing what is paused changes nothing."""
    if schedule.paused:
        return schedule
    nothing = {"next_run_at": None, "held_until": None}
    return msgspec.structs.replace(schedule, paused=True, updated_at=now, **nothing)


def resume(schedule: Schedule, now: datetime, calendar: Calendar) -> Schedule:
    """Slots run again from now on: those of the pause were not missed. Again it changes nothing."""
    if not schedule.paused:
        return schedule
    following = schedule.timing.first(calendar, now)
    return msgspec.structs.replace(schedule, paused=False, next_run_at=following, updated_at=now)


def plan(schedule: Schedule, now: datetime, calendar: Calendar) -> Plan:
    """What a schedule runs now: nothing before its next slot has come."""
    first, timing = schedule.next_run_at, schedule.timing
    if first is None or first > now:
        return Plan((), first)
    at_once = min(MOST_AT_ONCE, MOST_BYTES_AT_ONCE // len(schedule.job.encode()) or 1)
    due = Due(timing.slots(calendar), timing.step, first, now)
    if schedule.held_until is not None and schedule.missed is Missed.ALL:
        planned = due.oldest()
    else:
        planned = due.plan(schedule.missed, at_once)
    if schedule.overlap is Overlap.SKIP:
        return Plan(planned.slots[-1:], planned.next_run_at)
    return planned


def preview(schedule: Schedule, number: int, now: datetime, calendar: Calendar) -> list[datetime]:
    """The next slots, of a paused schedule those that it would have."""
    return list(islice(schedule.timing.slots(calendar)(now), number))


def slot_key(schedule_id: UUID, slot: datetime) -> str:
    """The idempotency key of a slot's job: the store keeps one job of each."""
    return f"schedule/{schedule_id}/{slot.astimezone(UTC).isoformat().replace('+00:00', 'Z')}"


def _timing_faults(
    request: ScheduleRequest, calendar: Calendar, now: datetime
) -> Iterator[FieldError]:
    if request.cron is None and request.every_ms is None:
        yield FieldError("cron", "is required, or every_ms")
    if request.cron is not None and request.every_ms is not None:
        yield FieldError("every_ms", "cannot go with cron: send one of them")
    of_cron = None if request.cron is None else calendar.fault_of_cron(request.cron)
    of_zone = calendar.fault_of_timezone(request.timezone)
    if of_cron:
        yield FieldError("cron", of_cron)
    if of_zone:
        yield FieldError("timezone", of_zone)
    if request.cron is not None and not of_cron and not of_zone:
        following = calendar.slots(request.cron, request.timezone, now)
        if next(following, None) is None:
            yield FieldError("cron", "matches no time in the next 50 years")


def _job_faults(job: Submission) -> Iterator[FieldError]:
    for name, why in OF_ONE_JOB.items():
        if getattr(job, name) is not None:
            yield FieldError(f"job.{name}", why)


def _anchor(now: datetime) -> datetime:
    """In whole milliseconds, as distances are."""
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _written(job: Submission) -> str:
    return msgspec.json.encode(job).decode()
