"""Submitting jobs, looking at them, and changing their course."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.attempt_log import LogPage, LogPlace
from internal.domain.errors import ContentionError, FieldError, NotFoundError, ValidationError
from internal.domain.handlers import Handlers
from internal.domain.ids import new_id
from internal.domain.jobs import Job, on_failure
from internal.domain.linking import link
from internal.domain.listing import AttemptPage, JobFilter, JobPage, Page, check_filter
from internal.domain.ports.jobs import (
    JobCommands,
    JobLists,
    JobReads,
    JobSubmissions,
    Standings,
    Statistics,
    Submitted,
)
from internal.domain.stats import Stats
from internal.domain.submission import JobDefaults, NewJob, Submission, accept
from internal.domain.why import Why, explain
from internal.services.readers import Readers

# A batch is checked this many jobs at a time, some milliseconds, so that others get their turn.
CHECKED_AT_ONCE: Final = 100
MAX_FAULTS: Final = 100

T = TypeVar("T")


class Batch(msgspec.Struct, frozen=True):
    """A batch that was taken in, its jobs in the order of the request."""

    id: UUID
    jobs: list[Submitted]


class JobType(msgspec.Struct, frozen=True):
    """An installed job type, with the JSON schema of its payload."""

    type: str
    description: str
    schema: dict[str, Any]


class Jobs(msgspec.Struct, frozen=True):
    """The use cases around jobs; each only reaches what belongs to the actor."""

    submissions: JobSubmissions
    reads: JobReads
    standings: Standings
    lists: JobLists
    statistics: Statistics
    commands: JobCommands
    handlers: Handlers
    defaults: JobDefaults
    readers: Readers = msgspec.field(default_factory=Readers)

    async def submit(self, actor: Actor, request: Submission) -> tuple[Job, bool]:
        """Take a job in; with an idempotency key that exists, give its job and True.

        Raises:
            ValidationError: naming each field at fault.
            PayloadTooLargeError: when the payload has too many bytes.
            IdempotencyConflictError: when the key was used for another request.
            QuotaExceededError: when the actor would have more unfinished jobs than allowed.
        """
        new = await self.accepted(request)
        (submitted,) = await self.submissions.submit(actor, [new])
        if not submitted.deduplicated:
            return _as_taken_in(new, submitted), False
        existing = await self.reads.get(actor, submitted.id)
        if existing is None:
            raise ContentionError("The job with this key was just deleted: send it again")
        return existing, True

    async def submit_batch(self, actor: Actor, requests: Sequence[Submission]) -> Batch:
        """Take all jobs in, or none.

        Raises:
            ValidationError: naming the faults with the index of their job.
            PayloadTooLargeError: naming the first payload that has too many bytes.
            IdempotencyConflictError: naming the job whose key was used for another request.
            QuotaExceededError: when the actor would have more unfinished jobs than allowed.
        """
        new = await self._accept_all(requests)
        batch_id = new_id()
        return Batch(batch_id, await self.submissions.submit(actor, new, batch_id))

    async def get(self, actor: Actor, job_id: UUID) -> Job:
        """One job.

        Raises:
            NotFoundError: when it is unknown or another user's; here and below.
        """
        return _found(await self.reads.get(actor, job_id))

    async def attempts(
        self, actor: Actor, job_id: UUID, limit: int, before: int | None
    ) -> AttemptPage:
        """A page of a job's starts, the newest first, a running one included."""
        found = _found(await self.reads.attempts(actor, job_id, limit + 1, before))
        page = found[:limit]
        return AttemptPage(page, page[-1].number if len(found) > limit else None)

    async def why(self, actor: Actor, job_id: UUID) -> Why:
        """Why a job waits, and until when, as far as that can be told."""
        return explain(_found(await self.standings.standing(actor, job_id)))

    async def logs(
        self, actor: Actor, job_id: UUID, after: LogPlace, attempt: int | None, limit: int
    ) -> LogPage:
        """What a job's handler logged, the oldest line first."""
        return _found(await self.reads.logs(actor, job_id, after, attempt, limit))

    async def page(self, actor: Actor, where: JobFilter, page: Page) -> JobPage:
        """One page of a list, the newest submission first.

        Raises:
            ValidationError: naming the filter that cannot be.
        """
        check_filter(where)
        return await self.lists.page(actor, where, page)

    async def stats(self, actor: Actor) -> Stats:
        """The actor's numbers."""
        return await self.statistics.stats(actor)

    async def cancel(self, actor: Actor, job_id: UUID) -> Job:
        """Cancel a job: a waiting one at once, a running one when its handler has heard of it.

        Raises:
            InvalidStateError: when it has finished.
        """
        await self.commands.cancel(actor, job_id)
        return await self.get(actor, job_id)

    async def retry(self, actor: Actor, job_id: UUID) -> Job:
        """Queue a failed or canceled job again.

        Raises:
            InvalidStateError: in any other state.
        """
        await self.commands.retry(actor, job_id)
        return await self.get(actor, job_id)

    async def delete(self, actor: Actor, job_id: UUID) -> None:
        """Forget a finished job.

        Raises:
            InvalidStateError: when it has not finished.
        """
        await self.commands.delete(actor, job_id)

    def types(self) -> list[JobType]:
        """What this installation can run, by name."""
        return [
            JobType(each.type, each.description, each.input.schema)
            for _, each in sorted(self.handlers.items())
        ]

    async def accepted(self, request: Submission) -> NewJob:
        """A submission, checked and with its defaults.

        Raises:
            ValidationError, PayloadTooLargeError: as `submit`.
        """
        types = self.handlers.running_code((request.type,))
        return await self.readers.run(types, partial(accept, request, self.handlers, self.defaults))

    async def _accept_all(self, requests: Sequence[Submission]) -> Sequence[NewJob]:
        accepted: list[NewJob] = []
        faults: list[FieldError] = []
        for start in range(0, len(requests), CHECKED_AT_ONCE):
            some = requests[start : start + CHECKED_AT_ONCE]
            accepting = partial(_accept_some, some, self.handlers, self.defaults, start)
            types = self.handlers.running_code(each.type for each in some)
            new, found = await self.readers.run(types, accepting)
            accepted += new
            faults += found
            await asyncio.sleep(0)
        if faults:
            raise ValidationError.of(*faults[:MAX_FAULTS])
        if all(each.name is None and each.depends_on is None for each in requests):
            return accepted
        # In a thread: a hundred thousand dependencies take a fifth of a second.
        return await asyncio.to_thread(link, requests, accepted)


def _accept_some(
    requests: Sequence[Submission], handlers: Handlers, defaults: JobDefaults, start: int
) -> tuple[list[NewJob], list[FieldError]]:
    """Those that are accepted of a part of a batch that begins there, and the others' faults."""
    accepted: list[NewJob] = []
    faults: list[FieldError] = []
    for index, request in enumerate(requests, start):
        try:
            accepted.append(accept(request, handlers, defaults, index=index))
        except ValidationError as error:
            faults += error.details
    return accepted, faults


def _as_taken_in(new: NewJob, submitted: Submitted) -> Job:
    """What a look at the store would give: nothing can have happened that its client knows of."""
    return Job(
        id=submitted.id,
        type=new.type,
        queue=new.queue,
        priority=new.priority,
        status=submitted.status,
        attempts=0,
        max_attempts=new.max_attempts,
        run_at=submitted.run_at,
        backoff=new.backoff,
        timeout_ms=new.timeout_ms,
        idempotency_key=new.idempotency_key,
        tags=new.tags,
        concurrency_key=new.concurrency_key,
        rate_key=new.rate_key,
        expires_at=_expires_at(new, submitted),
        payload=new.payload,
        result=None,
        last_error=None,
        progress=None,
        progress_note=None,
        cancel_requested_at=None,
        version=1,
        created_at=submitted.created_at,
        updated_at=submitted.created_at,
        started_at=None,
        finished_at=None,
        name=new.name,
        depends_on=new.parents,
        on_dependency_failure=on_failure(runs_anyway=new.runs_anyway),
    )


def _found(thing: T | None) -> T:
    if thing is None:
        raise NotFoundError("there is no such job, or it is not yours")
    return thing


def _expires_at(new: NewJob, submitted: Submitted) -> datetime | None:
    if new.expires_in_ms is None:
        return new.expires_at
    return submitted.run_at + timedelta(milliseconds=new.expires_in_ms)
