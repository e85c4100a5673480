"""The routes of dead letters: failures in groups, edited payloads, and where jobs come from."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import get, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Raw

from internal.adapters.http.cursors import Cursor, Number, PageQuery, read_cursor, write_cursor
from internal.adapters.http.job_shapes import JobAnswer, JsonObject, shown_job
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.errors import InvalidStateError, NotFoundError, PayloadTooLargeError
from internal.domain.failures import FailureGroup, GroupMark
from internal.domain.replays import PastPayload, Replay
from internal.domain.submission import Payload
from internal.domain.times import Moment
from internal.services.dead_letters import DeadLetters

TAGS: Final = ("Dead letters",)
ReplayMark = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class FailuresAnswer(msgspec.Struct, frozen=True):
    """A page of groups, the most frequent first; `next_cursor` is null on the last one."""

    data: list[FailureGroup]
    next_cursor: str | None


class PayloadEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a job is to have for its payload from now on."""

    payload: Payload


class ReplaysAnswer(msgspec.Struct, frozen=True):
    """A page of a job's retries, by hand or with a job that it waits for, the newest first."""

    data: list[Replay]
    next_cursor: str | None


class EarlierPayload(msgspec.Struct, frozen=True):
    """A payload that was edited, as it was: after how many attempts, the last of which it was for.

    The one of the lowest attempt is what was submitted.
    """

    attempt: int
    payload: JsonObject
    replaced_at: Moment


class PayloadsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of the payloads."""

    cursor: Cursor = None


class PayloadsAnswer(msgspec.Struct, frozen=True):
    """A page of earlier payloads, the oldest first; `next_cursor` is null on the last one."""

    data: list[EarlierPayload]
    next_cursor: str | None


JobId = Annotated[UUID, PathParameter(description="A job's id")]


class DeadLetterRoutes:
    """Looking at what failed, and mending it."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        failures = private("failures", "List your failures in groups", tags=TAGS)
        refused = (NotFoundError, InvalidStateError, PayloadTooLargeError)
        edit = private("editPayload", "Edit a job's payload", *refused, tags=TAGS)
        replays = private("replays", "List a job's retries by hand", NotFoundError, tags=TAGS)
        payloads = private("payloads", "List a job's earlier payloads", NotFoundError, tags=TAGS)
        earlier = {"query": PayloadsQuery}
        return [
            get("/v1/failures", opt={"query": PageQuery}, **failures)(self.failures),
            put("/v1/jobs/{id:str}/payload", **edit)(self.edit),
            get("/v1/jobs/{id:str}/replays", opt={"query": PageQuery}, **replays)(self.replays),
            get("/v1/jobs/{id:str}/payloads", opt=earlier, **payloads)(self.payloads),
        ]

    async def failures(self, request: ApiRequest) -> FailuresAnswer:
        """Failed jobs that have the same type and the same error, counted; the largest group first.

        Numbers, ids and the like in an error do not count. `GET /v1/jobs?fingerprint=` lists the
        jobs of a group, and `POST /v1/jobs/bulk` retries them.
        """
        query = read_query(request, PageQuery)
        after = read_cursor(query.cursor, GroupMark)
        page = await self._letters.failures(request.user, query.limit, after)
        following = write_cursor(page.following)
        return FailuresAnswer(page.groups, following)

    async def edit(self, request: ApiRequest, id: JobId, data: JSONBody[PayloadEdit]) -> JobAnswer:
        """Replace the payload of a job that waits, or has failed or been canceled.

        A failed job is not retried by that: `POST /v1/jobs/{id}/retry` does it. What its attempts
        ran with is kept: `GET /v1/jobs/{id}/payloads`.
        """
        return JobAnswer(shown_job(await self._letters.edit(request.user, id, data.payload)))

    async def replays(self, request: ApiRequest, id: JobId) -> ReplaysAnswer:
        """Each time that its owner retried the job, the newest first.

        It tells what the job was before, whether its payload had been edited, and by which bulk
        operation it came, if by any. Retries that Windlass makes itself are not among them.
        """
        query = read_query(request, PageQuery)
        before = read_cursor(query.cursor, ReplayMark)
        page = await self._letters.replays(request.user, id, query.limit, before)
        return ReplaysAnswer(page.replays, write_cursor(page.next_before))

    async def payloads(self, request: ApiRequest, id: JobId) -> PayloadsAnswer:
        """What edits have replaced, the oldest first: the first one is what was submitted."""
        cursor = read_query(request, PayloadsQuery).cursor
        after = read_cursor(cursor, Number)
        page = await self._letters.payloads(request.user, id, after)
        shown = [_shown(each) for each in page.payloads]
        return PayloadsAnswer(shown, write_cursor(page.following))


def _shown(past: PastPayload) -> EarlierPayload:
    return EarlierPayload(past.attempt, Raw(past.payload), past.replaced_at)
