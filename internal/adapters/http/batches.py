"""The routes of batches; they are submitted as jobs are."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from msgspec import Meta

from internal.adapters.http.cursors import page_of, write_cursor
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.batches import BatchProgress, BatchSummary
from internal.domain.errors import NotFoundError
from internal.domain.listing import DEFAULT_PAGE, MAX_PAGE
from internal.services.batches import Batches

TAGS: Final = ("Batches",)

BatchId = Annotated[UUID, PathParameter(description="A batch's id")]


class BatchProgressAnswer(msgspec.Struct, frozen=True):
    """One batch; its end is told over the WebSocket, as `batch.finished` with this as `batch`."""

    data: BatchProgress


class BatchesAnswer(msgspec.Struct, frozen=True):
    """A page of batches, the newest first; `next_cursor` is null on the last one."""

    data: list[BatchSummary]
    next_cursor: str | None


class BatchesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of the list."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str | None = None


class BatchRoutes:
    """Seeing how far batches are."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        batch = private("batch", "How far a batch is", NotFoundError, tags=TAGS)
        listing = private("batches", "Your batches, a page at a time", tags=TAGS)
        return [
            get("/v1/batches/{id:str}", **batch)(self.get),
            get("/v1/batches", opt={"query": BatchesQuery}, **listing)(self.page),
        ]

    async def get(self, request: ApiRequest, id: BatchId) -> BatchProgressAnswer:
        return BatchProgressAnswer(await self._batches.get(request.user, id))

    async def page(self, request: ApiRequest) -> BatchesAnswer:
        query = read_query(request, BatchesQuery)
        page = await self._batches.page(request.user, page_of(query.limit, query.cursor))
        return BatchesAnswer(page.batches, write_cursor(page.next_before))
