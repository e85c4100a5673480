"""A request is answered in time, or told to come again."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import msgspec

from internal.adapters.http.asgi import App, Message, Receive, Scope, Send
from internal.adapters.http.errors import Error, ErrorBody
from internal.domain.errors import TimedOutError

# From the last byte of the request. One statement may take as long (session_settings.py); what
# waits in line behind one that hangs does not start to count when its turn comes.
ANSWERED_WITHIN_S: Final = 15.0

_log = logging.getLogger(__name__)


class Deadline:
    """Gives up a request whose answer has not begun in time; live connections have none."""

    def __init__(self, app: App, within_s: float = ANSWERED_WITHIN_S) -> None:
        self._app = app
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(receive, send, self._within_s)
        try:
            async with answer.limit:
                await self._app(scope, answer.receive, answer.send)
        except TimeoutError:
            if answer.has_begun or not answer.limit.expired():
                raise
            await _refuse(scope, send)


class _Answer:
    def __init__(self, receive: Receive, send: Send, within_s: float) -> None:
        self.has_begun = False
        self.limit = asyncio.timeout(within_s)
        self._within_s = within_s
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """Count from the end of the body: how fast that comes is up to the client."""
        if self.has_begun:
            return await self._receive()
        self.limit.reschedule(None)
        message = await self._receive()
        self.limit.reschedule(asyncio.get_running_loop().time() + self._within_s)
        return message

    async def send(self, message: Message) -> None:
        if not self.has_begun:
            self.has_begun = True
            self.limit.reschedule(None)
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
