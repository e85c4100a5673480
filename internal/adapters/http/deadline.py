"""A request is answered in time, or told to come again."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any, Final

import msgspec

from internal.adapters.http.asgi import App, Message, Receive, Scope, Send
from internal.adapters.http.errors import Error, ErrorBody
from internal.domain.errors import TimedOutError

# From the last byte of the request. One statement may take as long (session_settings.py); what
# waits in line behind one that hangs does not start to count when its turn comes.
ANSWERED_WITHIN_S: Final = 15.0
LOOK_EVERY_S: Final = 0.5
NEVER: Final = math.inf

_log = logging.getLogger(__name__)


class Deadline:
    """Gives up a request whose answer has not begun in time; live connections have none.

    One timer looks at all requests: a timer for each takes a tenth of what a submission costs.
    """

    def __init__(self, app: App, within_s: float = ANSWERED_WITHIN_S) -> None:
        self._app = app
        self._within_s = within_s
        self._look_every_s = min(LOOK_EVERY_S, within_s / 4)
        self._under_way: set[_Answer] = set()
        self._is_looking = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(receive, send, self._within_s)
        self._under_way.add(answer)
        if not self._is_looking:
            self._look_later()
        try:
            await self._app(scope, answer.receive, answer.send)
        except asyncio.CancelledError:
            # Another cancel beside ours ends the request for good.
            if not answer.is_given_up or answer.task.uncancel():
                raise
            await _refuse(scope, send)
        finally:
            self._under_way.discard(answer)

    def _look_later(self) -> None:
        self._is_looking = True
        asyncio.get_running_loop().call_later(self._look_every_s, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        for answer in self._under_way:
            if answer.due_at < now:
                answer.give_up()
        self._is_looking = False
        if self._under_way:
            self._look_later()


class _Answer:
    __slots__ = ("_receive", "_send", "_within_s", "due_at", "is_given_up", "task")

    def __init__(self, receive: Receive, send: Send, within_s: float) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is a task of the server
        self.task = task
        self.is_given_up = False
        self.due_at = time.monotonic() + within_s
        self._within_s = within_s
        self._receive = receive
        self._send = send

    def give_up(self) -> None:
        """End what makes the answer; once."""
        self.due_at = NEVER
        self.is_given_up = True
        self.task.cancel()

    async def receive(self) -> Message:
        """Count from the end of the body: how fast that comes is up to the client."""
        has_begun, self.due_at = self.due_at == NEVER, NEVER
        message = await self._receive()
        if not has_begun:
            self.due_at = time.monotonic() + self._within_s
        return message

    async def send(self, message: Message) -> None:
        """An answer that has begun may take as long as its client reads."""
        self.due_at = NEVER
        await self._send(message)


async def _refuse(scope: Scope, send: Send) -> None:
    error = TimedOutError()
    request_id = str(scope["state"].get("request_id", ""))
    extra = {"request_id": request_id, "reason": "no answer before the request's deadline"}
    _log.warning("request refused for now", extra=extra)
    body = msgspec.json.encode(Error(ErrorBody(error.code, error.message, (), request_id)))
    headers: list[tuple[bytes, Any]] = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"%d" % (error.retry_after or 1)),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
