"""Looking at what failed, and mending it."""

from __future__ import annotations

from functools import partial
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.errors import NotFoundError
from internal.domain.failures import FailureGroup, GroupMark, read
from internal.domain.handlers import Handlers
from internal.domain.jobs import Job
from internal.domain.ports.failures import Failures, Replays
from internal.domain.ports.jobs import JobCommands, JobReads
from internal.domain.replays import PastPayload, ReplayPage
from internal.domain.submission import check_payload
from internal.services.readers import Readers

# Each may be as large as a payload.
PAYLOADS_A_PAGE: Final = 20

T = TypeVar("T")


class FailurePage(msgspec.Struct, frozen=True):
    """One page of groups; `following` is where the next one begins, None at the end."""

    groups: list[FailureGroup]
    following: GroupMark | None


class PayloadPage(msgspec.Struct, frozen=True):
    """One page of earlier payloads; `following` is where the next one begins, None at the end."""

    payloads: list[PastPayload]
    following: int | None


class DeadLetters(msgspec.Struct, frozen=True):
    """The use cases around failed jobs; each only reaches what belongs to the actor."""

    failed: Failures
    past: Replays
    reads: JobReads
    commands: JobCommands
    handlers: Handlers
    max_payload_bytes: int
    readers: Readers = msgspec.field(default_factory=Readers)

    async def failures(self, actor: Actor, limit: int, after: GroupMark | None) -> FailurePage:
        """Failed jobs grouped by type and normalised error, the most frequent first."""
        groups = await self.failed.page(actor, limit + 1, after)
        if len(groups) <= limit:
            return FailurePage(groups, None)
        last = groups[limit - 1]
        return FailurePage(groups[:limit], GroupMark(last.count, read(last.fingerprint)))

    async def edit(self, actor: Actor, job_id: UUID, payload: msgspec.Raw) -> Job:
        """Give a job another payload for its attempts to come.

        Raises:
            NotFoundError: when the job is unknown or another user's; here and below.
            ValidationError, PayloadTooLargeError: as at submission.
            InvalidStateError: when it runs or has succeeded.
        """
        job = _found(await self.reads.get(actor, job_id))
        limit = self.max_payload_bytes
        checking = partial(check_payload, job.type, payload, self.handlers, limit)
        types = self.handlers.running_code((job.type,))
        text = await self.readers.run(types, checking)
        await self.commands.edit(actor, job_id, text)
        return _found(await self.reads.get(actor, job_id))

    async def replays(
        self, actor: Actor, job_id: UUID, limit: int, before: int | None
    ) -> ReplayPage:
        """A page of a job's retries by hand, the newest first."""
        return _found(await self.past.replays(actor, job_id, limit, before))

    async def payloads(self, actor: Actor, job_id: UUID, after: int | None) -> PayloadPage:
        """What a job had for its payload before edits, the oldest first: that was submitted."""
        found = _found(await self.past.payloads(actor, job_id, PAYLOADS_A_PAGE + 1, after))
        page = found[:PAYLOADS_A_PAGE]
        return PayloadPage(page, page[-1].attempt if len(found) > len(page) else None)


def _found(thing: T | None) -> T:
    if thing is None:
        raise NotFoundError("there is no such job, or it is not yours")
    return thing
