"""The routes of queues."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter

from internal.adapters.http.asgi import App, Receive, Scope, Send
from internal.adapters.http.cursors import PageQuery, read_cursor, write_cursor
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.errors import (
    FieldError,
    LimitReachedError,
    NotFoundError,
    QueueNotEmptyError,
    ValidationError,
)
from internal.domain.queues import Queue, QueueSettings
from internal.domain.submission import QueueName
from internal.services.queues import Queues

TAGS: Final = ("Queues",)
PATHS: Final = "/v1/queues/"

Name = Annotated[str, PathParameter(description="A queue's name, percent-encoded")]


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
        listing = private("queues", "List your queues", tags=TAGS)
        one = private("queue", "Get a queue", NotFoundError, tags=TAGS)
        limit = private("setQueue", "Set a queue's limits", LimitReachedError, tags=TAGS)
        gone = private(
            "deleteQueue", "Delete a queue", NotFoundError, QueueNotEmptyError, tags=TAGS
        )
        pause = private("pauseQueue", "Pause a queue", NotFoundError, tags=TAGS)
        resume = private("resumeQueue", "Resume a queue", NotFoundError, tags=TAGS)
        return [
            get("/v1/queues", opt={"query": PageQuery}, **listing)(self.page),
            get("/v1/queues/{name:str}", **one)(self.get),
            put("/v1/queues/{name:str}", **limit)(self.set),
            delete("/v1/queues/{name:str}", status_code=204, **gone)(self.delete),
            post("/v1/queues/{name:str}/pause", status_code=200, **pause)(self.pause),
            post("/v1/queues/{name:str}/resume", status_code=200, **resume)(self.resume),
        ]

    async def page(self, request: ApiRequest) -> QueuesAnswer:
        """Every queue that has jobs or limits of yours, by name.

        Each is shown with its limits and how many of its jobs are in which status.
        """
        query = read_query(request, PageQuery)
        after = read_cursor(query.cursor, QueueName) or ""
        page = await self._queues.page(request.user, after, query.limit)
        return QueuesAnswer(page.queues, write_cursor(page.next_after))

    async def get(self, request: ApiRequest, name: Name) -> QueueAnswer:
        """The queue's limits, its jobs by status, and how long until what waits has ended.

        `drain_seconds` goes by the pace of the last five minutes; it is null where nothing tells.
        """
        return QueueAnswer(await self._queues.get(request.user, _read_name(name)))

    async def set(
        self, request: ApiRequest, name: Name, data: JSONBody[QueueSettings]
    ) -> QueueAnswer:
        """Limit how many of the queue's jobs run at a time, and how many start in a time.

        The request replaces all limits that were set: what it leaves out is not limited, but a
        paused queue stays paused. A queue that does not exist yet is made.
        """
        return QueueAnswer(await self._queues.set(request.user, _read_name(name), data))

    async def delete(self, request: ApiRequest, name: Name) -> None:
        """Forget a queue that has no unfinished jobs, with its limits.

        Its finished jobs stay for as long as others do, and are listed and counted as before. The
        next job that names the queue makes it again, without limits: one of a schedule, too.
        """
        await self._queues.delete(request.user, _read_name(name))

    async def pause(self, request: ApiRequest, name: Name) -> QueueAnswer:
        """Start no more of the queue's jobs until it is resumed; what runs already runs on."""
        return await self._pause(request, name, paused=True)

    async def resume(self, request: ApiRequest, name: Name) -> QueueAnswer:
        """Start the queue's jobs again; nothing changes when it was not paused."""
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
