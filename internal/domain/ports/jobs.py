"""Keeping jobs, as their owners use them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.attempt_log import LogPage, LogPlace
from internal.domain.jobs import Attempt, Job, JobSummary, Status
from internal.domain.listing import JobFilter, JobPage, Page
from internal.domain.stats import Stats
from internal.domain.submission import NewJob
from internal.domain.why import Standing

# A job, and one that waits for it.
Edge = tuple[UUID, UUID]


class Submitted(msgspec.Struct, frozen=True):
    """What became of one submission; `deduplicated` when its key named an existing job."""

    id: UUID
    status: Status
    deduplicated: bool
    run_at: datetime
    created_at: datetime


class JobSubmissions(Protocol):
    """Taking jobs in."""

    async def submit(
        self, actor: Actor, jobs: Sequence[NewJob], batch_id: UUID | None = None
    ) -> list[Submitted]:
        """Keep all jobs or none, in order; on return they survive a crash.

        Raises:
            IdempotencyConflictError: when a key was used for another request; its details name
                the index.
            QuotaExceededError: when the user would have more unfinished jobs than allowed. Jobs
                that exist by their keys do not count.
            ValidationError: when a job depends on one that is unknown or another user's.
        """


class JobReads(Protocol):
    """Looking at one's own jobs; what is another user's is None."""

    async def get(self, actor: Actor, job_id: UUID) -> Job | None:
        """The job with its latest result and error."""

    async def attempts(
        self, actor: Actor, job_id: UUID, limit: int, before: int | None = None
    ) -> list[Attempt] | None:
        """At most so many starts of smaller numbers, the newest first, a running one included."""

    async def logs(
        self, actor: Actor, job_id: UUID, after: LogPlace, attempt: int | None, limit: int
    ) -> LogPage | None:
        """At most so many lines behind a place, in order, of one attempt or of all.

        A line that comes later stands behind all that were read before.
        """


class Standings(Protocol):
    """Where one's own jobs stand in line."""

    async def standing(self, actor: Actor, job_id: UUID) -> Standing | None:
        """How things are for a job at this moment; None when it is unknown or another user's."""


class JobLists(Protocol):
    """Pages of one's own jobs."""

    async def page(self, actor: Actor, where: JobFilter, page: Page) -> JobPage:
        """One page of summaries, the newest submission first."""


class Statistics(Protocol):
    """Numbers about one's own jobs."""

    async def stats(self, actor: Actor) -> Stats:
        """Counts from the counters, never from counting rows."""


class JobCommands(Protocol):
    """Changing one's own jobs; each is one transaction and one event.

    Each raises NotFoundError for what is unknown or another user's, and InvalidStateError where
    the lifecycle forbids it.
    """

    async def cancel(self, actor: Actor, job_id: UUID) -> None:
        """Cancel a waiting job at once; ask a running one to stop. Asking again changes nothing."""

    async def retry(self, actor: Actor, job_id: UUID) -> None:
        """Queue a failed or canceled job again with at least one attempt left, and note that.

        One that waits for jobs, all of which may still succeed, is blocked again. What was
        canceled because of it is soon blocked again too.
        """

    async def edit(self, actor: Actor, job_id: UUID, payload: str) -> None:
        """Give a job that waits, failed or was canceled another payload; the one before is kept.

        A claim at the same moment either gets the new payload, or the job runs and this raises.
        """

    async def delete(self, actor: Actor, job_id: UUID) -> None:
        """Forget a finished job, its history and its idempotency key."""


class Ties(Protocol):
    """What depends on what among one's own jobs."""

    async def edges(self, actor: Actor, job_ids: Sequence[UUID], limit: int) -> list[Edge]:
        """Up to so many dependencies of these jobs, those on them included, without repeats."""


class Summaries(Protocol):
    """What live events show."""

    async def summaries(
        self, owners: Sequence[UUID], job_ids: Sequence[UUID]
    ) -> dict[UUID, list[JobSummary]]:
        """The current summaries of these jobs by owner, of the named owners only."""
