"""Submitting the same job again and again, as its owner says when."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from internal.domain import schedules
from internal.domain.accounts import Actor
from internal.domain.errors import InvalidStateError
from internal.domain.jobs import Job
from internal.domain.listing import Page
from internal.domain.ports.calendar import Calendar
from internal.domain.ports.schedules import SchedulePage, ScheduleStore
from internal.domain.schedules import Overlap, Schedule, ScheduleRequest
from internal.domain.submission import Submission
from internal.services.jobs import Jobs
from internal.services.scheduler import of_schedule, read_job


class Schedules(msgspec.Struct, frozen=True):
    """The use cases around schedules; each only reaches what belongs to the actor.

    What is unknown or another user's raises NotFoundError.
    """

    store: ScheduleStore
    jobs: Jobs
    calendar: Calendar

    async def create(self, actor: Actor, request: ScheduleRequest) -> Schedule:
        """Keep a schedule; its first slot comes after now.

        Raises:
            ValidationError: naming each field at fault, those of the job as `job.FIELD`.
            PayloadTooLargeError: when the job's payload has too many bytes.
            NameTakenError: when the user has one of this name.
            LimitReachedError: when the user has as many as there can be.
        """
        await self._check(request)
        return await self.store.add(
            actor, lambda now: schedules.create(request, now, self.calendar)
        )

    async def replace(self, actor: Actor, schedule_id: UUID, request: ScheduleRequest) -> Schedule:
        """Put another schedule in its place; refused as `create` does."""
        await self.store.get(actor, schedule_id)
        await self._check(request)
        return await self.store.change(
            actor,
            schedule_id,
            lambda schedule, now: schedules.replace(schedule, request, now, self.calendar),
        )

    async def get(self, actor: Actor, schedule_id: UUID) -> Schedule:
        """One schedule."""
        return await self.store.get(actor, schedule_id)

    async def page(self, actor: Actor, page: Page) -> SchedulePage:
        """One page of a list, the newest first."""
        return await self.store.page(actor, page)

    async def pause(self, actor: Actor, schedule_id: UUID) -> Schedule:
        """Have no slot run any more. Again it changes nothing."""
        return await self.store.change(actor, schedule_id, schedules.pause)

    async def resume(self, actor: Actor, schedule_id: UUID) -> Schedule:
        """Have slots run from now on. Again it changes nothing."""
        return await self.store.change(
            actor,
            schedule_id,
            lambda schedule, now: schedules.resume(schedule, now, self.calendar),
        )

    async def delete(self, actor: Actor, schedule_id: UUID) -> None:
        """Forget a schedule. Its jobs stay."""
        await self.store.delete(actor, schedule_id)

    async def run(self, actor: Actor, schedule_id: UUID) -> Job:
        """Submit the job now, paused or not; the slots stay where they are.

        Raises:
            InvalidStateError: when it skips overlaps and its last job has not ended.
            ValidationError: when such a job is not accepted any more.
            PayloadTooLargeError: likewise.
        """
        schedule = await self.store.get(actor, schedule_id)
        if schedule.overlap is Overlap.SKIP and await self.store.is_busy(actor, schedule):
            raise InvalidStateError(
                f"job {schedule.last_job_id} of this schedule has not ended, and its overlap is"
                " 'skip': wait for that job, or cancel it"
            )
        with of_schedule():
            job, _ = await self.jobs.submit(actor, read_job(schedule))
        await self.store.note_run(actor, schedule_id, job.id)
        return job

    async def preview(self, actor: Actor, schedule_id: UUID, number: int) -> list[datetime]:
        """The next slots; of a paused schedule those that it would have."""
        schedule = await self.store.get(actor, schedule_id)
        return schedules.preview(schedule, number, await self.store.now(), self.calendar)

    async def _check(self, request: ScheduleRequest) -> None:
        schedules.check(request, self.calendar, await self.store.now())
        await self._check_job(request.job)

    async def _check_job(self, job: Submission) -> None:
        """As its slots will submit it."""
        with of_schedule():
            await self.jobs.accepted(msgspec.structs.replace(job, idempotency_key="schedule"))
