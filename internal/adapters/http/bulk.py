"""The routes of bulk operations."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter
from msgspec import Meta

from internal.adapters.http.cursors import read_cursor, write_cursor
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.errors import InvalidStateError, NotFoundError
from internal.domain.listing import DEFAULT_PAGE, MAX_PAGE
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


class OperationsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of the operations."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str | None = None


class OperationsAnswer(msgspec.Struct, frozen=True):
    """A page of operations, the newest first; `next_cursor` is null on the last one."""

    data: list[Operation]
    next_cursor: str | None


EXAMPLES: Final = (
    {"action": "retry", "filter": {"status": ["failed"], "type": ["mock"]}, "per_second": 50},
    {"action": "delete", "filter": {"finished_before": "2026-01-31T12:00:00Z"}, "dry_run": True},
)
Sent = Annotated[BulkRequest, Body(examples=[Example(value=each) for each in EXAMPLES])]
OperationId = Annotated[UUID, PathParameter(description="An operation's id")]


class BulkRoutes:
    """Doing to many jobs what can be done to one."""

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        begin = private("bulk", "Retry, cancel or delete many jobs", InvalidStateError, tags=TAGS)
        one = private("operation", "A bulk operation", NotFoundError, tags=TAGS)
        every = private("operations", "Your bulk operations, a page at a time", tags=TAGS)
        refused = (NotFoundError, InvalidStateError)
        stop = private("stopOperation", "Stop a bulk operation", *refused, tags=TAGS)
        query = {"query": OperationsQuery}
        return [
            post("/v1/jobs/bulk", status_code=202, **begin)(self.begin),
            get("/v1/operations", opt=query, **every)(self.page),
            get("/v1/operations/{id:str}", **one)(self.get),
            post("/v1/operations/{id:str}/stop", status_code=200, **stop)(self.stop),
        ]

    async def begin(self, request: ApiRequest, data: Sent) -> BegunAnswer:
        operation_id, found = await self._bulk.start(request.user, data)
        begun = Begun(found.matched, found.eligible, found.skipped, operation_id)
        return BegunAnswer(begun)

    async def page(self, request: ApiRequest) -> OperationsAnswer:
        query = read_query(request, OperationsQuery)
        before = read_cursor(query.cursor, UUID)
        page = await self._bulk.page(request.user, query.limit, before)
        return OperationsAnswer(page.operations, write_cursor(page.next_before))

    async def get(self, request: ApiRequest, id: OperationId) -> OperationAnswer:
        return OperationAnswer(await self._bulk.get(request.user, id))

    async def stop(self, request: ApiRequest, id: OperationId) -> OperationAnswer:
        return OperationAnswer(await self._bulk.stop(request.user, id))
