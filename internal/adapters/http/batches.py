"""The routes of batches; they are submitted as jobs are."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter

from internal.adapters.http.cursors import PageQuery, page_of, write_cursor
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.batches import BatchProgress, BatchSummary
from internal.domain.errors import NotFoundError
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


class BatchRoutes:
    """Seeing how far batches are."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        batch = private("batch", "Get a batch", NotFoundError, tags=TAGS)
        listing = private("batches", "List your batches", tags=TAGS)
        return [
            get("/v1/batches/{id:str}", **batch)(self.get),
            get("/v1/batches", opt={"query": PageQuery}, **listing)(self.page),
        ]

    async def get(self, request: ApiRequest, id: BatchId) -> BatchProgressAnswer:
        """How many of the batch's jobs have ended, and how many are in which status.

        `finished_at` is set once all have ended, well or not.
        """
        return BatchProgressAnswer(await self._batches.get(request.user, id))

    async def page(self, request: ApiRequest) -> BatchesAnswer:
        """The newest batch comes first. `GET /v1/jobs?batch=` lists the jobs of one."""
        query = read_query(request, PageQuery)
        page = await self._batches.page(request.user, page_of(query.limit, query.cursor))
        return BatchesAnswer(page.batches, write_cursor(page.next_before))
