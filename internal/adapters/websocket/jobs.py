"""`WS /v1/ws/jobs`: a user's own events, as they happen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import WebsocketRouteHandler

from internal.domain.accounts import Actor
from internal.domain.errors import UnavailableError, WindlassError
from internal.domain.ports.accounts import Sessions, Tickets, TokenIssuer
from internal.services.audience import Audience
from internal.services.watcher import News, Signal, Watcher

UNAUTHENTICATED: Final = 4401
TRY_AGAIN_LATER: Final = 1013
FIRST_MESSAGE_S: Final = 5.0
PING_S: Final = 20.0
# How long `ready` waits until no change can be missed any more.
READY_S: Final = 2.0
MAX_LOGGED_CHARS: Final = 200

READY: Final = '{"event":"ready"}'
RESYNC: Final = '{"event":"resync"}'
PING: Final = '{"event":"ping"}'

Socket = WebSocket[Any, Any, Any]

_log = logging.getLogger(__name__)


class TicketMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A browser's first message: browsers cannot set headers on a WebSocket."""

    ticket: str


class JobSockets:
    """Admits by header or ticket, then sends until the token ends."""

    def __init__(
        self,
        audience: Audience,
        tokens: TokenIssuer,
        tickets: Tickets,
        sessions: Sessions,
        *,
        first_message_s: float = FIRST_MESSAGE_S,
        ping_s: float = PING_S,
    ) -> None:
        """`first_message_s` is how long a ticket may take to arrive."""
        self._audience = audience
        self._tokens = tokens
        self._tickets = tickets
        self._sessions = sessions
        self._first_message_s = first_message_s
        self._ping_s = ping_s

    def handler(self) -> WebsocketRouteHandler:
        """The route, for the application to mount."""

        @websocket("/v1/ws/jobs")
        async def jobs(socket: Socket) -> None:
            with suppress(WebSocketDisconnect):
                await self._serve(socket)

        return jobs

    async def _serve(self, socket: Socket) -> None:
        header = socket.headers.get("authorization")
        refusal = _foreign_origin(socket)
        actor: Actor | None = None
        if refusal is None and header is not None:
            try:
                actor = self._tokens.verify(_bearer(header))
            except WindlassError as error:
                refusal = error.message
        if refusal is not None:
            await _refuse(socket, refusal)
            return
        await socket.accept()
        try:
            actor = actor or await self._by_ticket(socket)
            if actor is not None:
                await self._stream(socket, actor)
        except UnavailableError:
            await socket.close(TRY_AGAIN_LATER, "the database is away")
            return
        await socket.close(UNAUTHENTICATED, "get a new ticket or token and connect again")

    async def _by_ticket(self, socket: Socket) -> Actor | None:
        try:
            async with asyncio.timeout(self._first_message_s):
                first = await socket.receive_text()
            ticket = msgspec.json.decode(first, type=TicketMessage).ticket
        except (TimeoutError, msgspec.DecodeError, RecursionError):
            return None
        return await self._tickets.redeem(ticket)

    async def _stream(self, socket: Socket, actor: Actor) -> None:
        # Before the look at the session, so that an end right after that look is heard.
        watcher = self._audience.join(actor)
        left = (actor.token_expires_at - datetime.now(UTC)).total_seconds()
        listen = asyncio.create_task(_listen(socket), name="websocket reader")
        try:
            async with asyncio.timeout(max(0.0, left)):
                if await self._sessions.is_open(actor.session_id):
                    await watcher.begin(READY_S)
                    await socket.send_text(READY)
                    await _send_until_ended(socket, watcher, listen, self._ping_s)
        except TimeoutError:
            pass
        finally:
            self._audience.leave(watcher)
            listen.cancel()


async def _send_until_ended(
    socket: Socket, watcher: Watcher, listen: asyncio.Task[None], ping_s: float
) -> None:
    """Send news and pings until the session ends or the client leaves."""
    news: asyncio.Task[list[News]] | None = None
    try:
        while True:
            news = news or asyncio.create_task(watcher.next(), name="websocket news")
            done, _ = await asyncio.wait(
                {news, listen}, timeout=ping_s, return_when=asyncio.FIRST_COMPLETED
            )
            if listen in done:
                return
            if not done:
                await socket.send_text(PING)
                continue
            batch, news = news.result(), None
            if await _send(socket, batch):
                return
    finally:
        if news is not None:
            news.cancel()


async def _send(socket: Socket, batch: Sequence[News]) -> bool:
    """Send a batch; whether it told that the session has ended."""
    for each in batch:
        if each is Signal.ENDED:
            return True
        await socket.send_text(RESYNC if each is Signal.RESYNC else _written(each))
    return False


def _written(news: News) -> str:
    try:
        return msgspec.json.encode(news).decode()
    except Exception:  # noqa: BLE001 - one event must not end the connection
        _log.exception("an event cannot be sent, its user is to read again")
        return RESYNC


async def _listen(socket: Socket) -> None:
    """Read and drop whatever comes, so that a close is noticed."""
    with suppress(WebSocketDisconnect):
        while True:
            await socket.receive_data("text")


def _bearer(header: str) -> str:
    """The token in an Authorization header, empty in one of another scheme."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _foreign_origin(socket: Socket) -> str | None:
    """Browsers name the page that connects: only our own may."""
    origin = socket.headers.get("origin")
    if origin is None or origin.partition("://")[2] == socket.headers.get("host"):
        return None
    _log.info(
        "a WebSocket of a foreign page was refused", extra={"origin": origin[:MAX_LOGGED_CHARS]}
    )
    return "this page's origin may not connect"


async def _refuse(socket: Socket, message: str) -> None:
    """Answer the handshake with 401 in the error shape instead of accepting it."""
    error: dict[str, Any] = {
        "code": "UNAUTHENTICATED",
        "message": message,
        "details": [],
        "request_id": None,
    }
    headers = [(b"content-type", b"application/json")]
    await socket.receive()
    await socket.send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
    body = msgspec.json.encode({"error": error})
    await socket.send({"type": "websocket.http.response.body", "body": body, "more_body": False})
