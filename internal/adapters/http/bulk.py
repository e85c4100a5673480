"""The routes of bulk operations."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter

from internal.adapters.http.cursors import PageQuery, read_cursor, write_cursor
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.errors import InvalidStateError, NotFoundError
from internal.domain.operations import BulkRequest, Operation, Tally
from internal.services.bulk import Bulk

TAGS: Final = ("Bulk operations",)


class Begun(Tally, frozen=True):
    """What an operation has to do; a dry run has no id."""

    operation_id: UUID | None


class BegunAnswer(msgspec.Struct, frozen=True):
    """The operation that was made, or what it would come to."""

    data: Begun


class OperationAnswer(msgspec.Struct, frozen=True):
    """One operation with its progress."""

    data: Operation


class OperationsAnswer(msgspec.Struct, frozen=True):
    """A page of operations, the newest first; `next_cursor` is null on the last one."""

    data: list[Operation]
    next_cursor: str | None


OperationId = Annotated[UUID, PathParameter(description="An operation's id")]


class BulkRoutes:
    """Doing to many jobs what can be done to one."""

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        begin = private("bulk", "Retry, cancel or delete many jobs", InvalidStateError, tags=TAGS)
        one = private("operation", "Get a bulk operation", NotFoundError, tags=TAGS)
        every = private("operations", "List your bulk operations", tags=TAGS)
        refused = (NotFoundError, InvalidStateError)
        stop = private("stopOperation", "Stop a bulk operation", *refused, tags=TAGS)
        query = {"query": PageQuery}
        return [
            post("/v1/jobs/bulk", status_code=202, **begin)(self.begin),
            get("/v1/operations", opt=query, **every)(self.page),
            get("/v1/operations/{id:str}", **one)(self.get),
            post("/v1/operations/{id:str}/stop", status_code=200, **stop)(self.stop),
        ]

    async def begin(self, request: ApiRequest, data: JSONBody[BulkRequest]) -> BegunAnswer:
        """Do to many jobs what can be done to one; they are named by `ids` or found by `filter`.

        The answer counts them and comes at once; the work goes on behind it, `per_second` jobs at
        most: `GET /v1/operations/{id}` tells how far it is. `"dry_run": true` only counts.
        `skipped` has those it cannot be done to, by the reason: their status, or `not_found`.
        """
        operation_id, found = await self._bulk.start(request.user, data)
        begun = Begun(found.matched, found.eligible, found.skipped, operation_id)
        return BegunAnswer(begun)

    async def page(self, request: ApiRequest) -> OperationsAnswer:
        """The newest operation comes first, with how far it is or how it ended."""
        query = read_query(request, PageQuery)
        before = read_cursor(query.cursor, UUID)
        page = await self._bulk.page(request.user, query.limit, before)
        return OperationsAnswer(page.operations, write_cursor(page.next_before))

    async def get(self, request: ApiRequest, id: OperationId) -> OperationAnswer:
        """How far the operation is: `done` and all `skipped` come to `matched` at its end."""
        return OperationAnswer(await self._bulk.get(request.user, id))

    async def stop(self, request: ApiRequest, id: OperationId) -> OperationAnswer:
        """Do no more of the operation; what it has done to jobs already stays done."""
        return OperationAnswer(await self._bulk.stop(request.user, id))
