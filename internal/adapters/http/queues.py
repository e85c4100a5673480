"""The routes of queues."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter
from msgspec import Meta

from internal.adapters.http.asgi import App, Receive, Scope, Send
from internal.adapters.http.cursors import read_cursor, write_cursor
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.errors import FieldError, NotFoundError, ValidationError
from internal.domain.listing import DEFAULT_PAGE, MAX_PAGE
from internal.domain.queues import Queue, QueueSettings
from internal.domain.submission import QueueName
from internal.services.queues import Queues

TAGS: Final = ("Queues",)
PATHS: Final = "/v1/queues/"
EXAMPLE: Final = {"max_running": 5, "rate_limit": {"limit": 100, "per_ms": 60_000, "burst": 10}}

Sent = Annotated[QueueSettings, Body(examples=[Example(value=EXAMPLE)])]
Name = Annotated[str, PathParameter(description="A queue's name, percent-encoded")]


class QueuesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str | None = None


class QueueAnswer(msgspec.Struct, frozen=True):
    """One queue."""

    data: Queue


class QueuesAnswer(msgspec.Struct, frozen=True):
    """A page of queues by name; `next_cursor` is null on the last one."""

    data: list[Queue]
    next_cursor: str | None


class QueueRoutes:
    """Looking at queues, limiting them, holding them up."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        listing = private("queues", "Your queues by name, a page at a time", tags=TAGS)
        one = private("queue", "A queue: its limits and what it holds", NotFoundError, tags=TAGS)
        limit = private("setQueue", "Set a queue's limits; it need not exist yet", tags=TAGS)
        pause = private("pauseQueue", "Start no more of a queue's jobs", NotFoundError, tags=TAGS)
        resume = private("resumeQueue", "Let a paused queue go on", NotFoundError, tags=TAGS)
        return [
            get("/v1/queues", opt={"query": QueuesQuery}, **listing)(self.page),
            get("/v1/queues/{name:str}", **one)(self.get),
            put("/v1/queues/{name:str}", **limit)(self.set),
            post("/v1/queues/{name:str}/pause", status_code=200, **pause)(self.pause),
            post("/v1/queues/{name:str}/resume", status_code=200, **resume)(self.resume),
        ]

    async def page(self, request: ApiRequest) -> QueuesAnswer:
        query = read_query(request, QueuesQuery)
        after = read_cursor(query.cursor, QueueName) or ""
        page = await self._queues.page(request.user, after, query.limit)
        return QueuesAnswer(page.queues, write_cursor(page.next_after))

    async def get(self, request: ApiRequest, name: Name) -> QueueAnswer:
        return QueueAnswer(await self._queues.get(request.user, _read_name(name)))

    async def set(self, request: ApiRequest, name: Name, data: Sent) -> QueueAnswer:
        return QueueAnswer(await self._queues.set(request.user, _read_name(name), data))

    async def pause(self, request: ApiRequest, name: Name) -> QueueAnswer:
        return await self._pause(request, name, paused=True)

    async def resume(self, request: ApiRequest, name: Name) -> QueueAnswer:
        return await self._pause(request, name, paused=False)

    async def _pause(self, request: ApiRequest, name: str, *, paused: bool) -> QueueAnswer:
        return QueueAnswer(await self._queues.pause(request.user, _read_name(name), paused=paused))


class NamesAsSent:
    """Gives routes of queues their path as it was sent: a name's own `/` is no step of it."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PATHS):
            scope["path"] = scope["raw_path"].decode("ascii")
        await self._app(scope, receive, send)


def _read_name(sent: str) -> str:
    try:
        return unquote_to_bytes(sent).decode()
    except UnicodeDecodeError as error:
        raise ValidationError.of(FieldError("name", "is not UTF-8, percent-encoded")) from error
