"""Running the schedules that are due."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

import msgspec

from internal.domain.errors import FieldError, PayloadTooLargeError, ValidationError, WindlassError
from internal.domain.handlers import Handlers
from internal.domain.ids import new_id
from internal.domain.ports.calendar import Calendar
from internal.domain.ports.feed import Topic
from internal.domain.ports.schedules import DueSchedules, Firing
from internal.domain.schedules import Overlap, Schedule, plan, slot_key
from internal.domain.slots import Missed
from internal.domain.submission import JobDefaults, NewJob, Submission, accept
from internal.services.duty import Duty

FIRED_AT_ONCE: Final = 100
# A schedule whose slots cannot even be told is looked at again so much later.
PUT_OFF: Final = timedelta(minutes=1)


class Scheduler(msgspec.Struct, frozen=True):
    """Submits the job of each slot that has come."""

    due: DueSchedules
    calendar: Calendar
    handlers: Handlers
    defaults: JobDefaults

    def duty(self) -> Duty:
        """Looks when the next slot comes, and once a second for those that others have made."""
        pause, topics = timedelta(seconds=1), (Topic.SCHEDULES,)
        return Duty("scheduler", self.run_once, pause=pause, topics=topics)

    async def run_once(self) -> timedelta | None:
        """Run some of those that are due; when to look again."""
        return await self.due.fire(FIRED_AT_ONCE, self.decide)

    def decide(self, schedule: Schedule, now: datetime, *, is_busy: bool) -> Firing:
        """The jobs of the slots that are to run now; none of one that is busy and skips overlaps.

        Where nothing is to be missed, a slot waits for room; where it may be, it is left out.
        A job that is not accepted any more, since settings or its type have changed, is left out
        with the reason: the next slot may fare better.
        """
        try:
            planned = plan(schedule, now, self.calendar)
        except WindlassError as error:
            return Firing((), now + PUT_OFF, str(error))
        if not planned.slots:
            return Firing((), planned.next_run_at)
        if is_busy and schedule.overlap is Overlap.SKIP:
            return Firing((), planned.next_run_at, _skipped(schedule, planned.slots[-1]))
        try:
            with of_schedule():
                jobs = self._jobs(schedule, planned.slots)
        except WindlassError as error:
            return Firing((), planned.next_run_at, str(error))
        patient = () if schedule.missed is Missed.SKIP else planned.slots
        return Firing(jobs, planned.next_run_at, patient=patient)

    def _jobs(self, schedule: Schedule, slots: tuple[datetime, ...]) -> tuple[NewJob, ...]:
        """They are alike but for their ids and keys, and checked once."""
        keys = [slot_key(schedule.id, slot) for slot in slots]
        first = new_job(read_job(schedule), keys[0], self.handlers, self.defaults)
        replace = msgspec.structs.replace
        return tuple(replace(first, id=new_id(), idempotency_key=key) for key in keys)


def read_job(schedule: Schedule) -> Submission:
    """The submission of a schedule.

    Raises:
        ValidationError: when it was kept by a release that took what this one does not.
    """
    try:
        return msgspec.json.decode(schedule.job, type=Submission)
    except msgspec.DecodeError as error:
        raise ValidationError.of(FieldError("job", f"is not valid any more: {error}")) from error


def new_job(job: Submission, key: str, handlers: Handlers, defaults: JobDefaults) -> NewJob:
    """A slot's job, checked as any other submission.

    Raises:
        ValidationError: naming each field at fault.
        PayloadTooLargeError: when the payload has more bytes than allowed.
    """
    keyed = msgspec.structs.replace(job, idempotency_key=key)
    return accept(keyed, handlers, defaults)


def _skipped(schedule: Schedule, slot: datetime) -> str:
    return (
        f"skipped the slot of {slot:%Y-%m-%dT%H:%M:%SZ}: job {schedule.last_job_id} has not ended"
    )


@contextmanager
def of_schedule() -> Iterator[None]:
    """Name the fields of a refused submission as they stand in a schedule."""
    try:
        yield
    except ValidationError as error:
        raise ValidationError.of(*_inside(error.details)) from error
    except PayloadTooLargeError as error:
        raise PayloadTooLargeError(error.message, details=_inside(error.details)) from error


def _inside(details: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    return tuple(
        each if each.field == "job" else FieldError(f"job.{each.field}", each.message)
        for each in details
    )
