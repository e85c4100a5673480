from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# Requests are short; what lasts longer is a live connection, whose client comes back by itself.
_LAST_REQUESTS_S: Final = 5
# Longer than what sits before us waits, so that it never sends into a closing connection.
_KEEP_ALIVE_S: Final = 75
# A live connection's client sends a ticket and then nothing.
_MAX_MESSAGE_BYTES: Final = 16 * 1024
# How often a live connection is pinged, and how long it may take to answer.
_PING_S: Final = 20.0


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: they are ours."""
        yield


class _Outgoing:
    """Answers that are written together, at the end of a turn of the loop.

    Written as each is ready, each wakes its client by itself: a tenth of what a submission costs
    the API, and more for who sends it.
    """

    def __init__(self) -> None:
        self._answers: list[tuple[asyncio.Transport, bytes]] = []

    def add(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Have it written before anything that the loop is told to do from now on."""
        if not self._answers:
            asyncio.get_running_loop().call_soon(self.write)
        self._answers.append((transport, answer))

    def write(self) -> None:
        """Write what is there; also before a connection is closed."""
        answers, self._answers = self._answers, []
        for transport, answer in answers:
            if not transport.is_closing():
                transport.write(answer)


class _WholeAnswer:
    """An application whose answers go out whole, where uvicorn writes head and body one by one.

    Nor is each header searched for what it must not hold: a line break too many is enough.
    """

    def __init__(self, app: Any, cycle: RequestResponseCycle, outgoing: _Outgoing) -> None:
        self._app = app
        self._cycle = cycle
        self._outgoing = outgoing
        self._start: Any = None

    async def __call__(self, scope: Any, receive: Any, _: Any) -> None:
        try:
            await self._app(scope, receive, self._send)
        except BaseException:
            self._outgoing.write()  # uvicorn closes the connection at once
            raise

    async def _send(self, message: Any) -> None:
        """Keep the head until its body comes, as ASGI has it."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            body = message.get("body", b"")
            if not message.get("more_body", False) and self._is_plain(start, body):
                self._answer(start, body)
                return
            await self._cycle.send(start)
        await self._cycle.send(message)

    def _is_plain(self, start: Any, body: bytes) -> bool:
        """Whether the answer has all of its body, and says nothing about its connection."""
        cycle, headers = self._cycle, dict(start["headers"])
        return (
            headers.get(b"content-length") == b"%d" % len(body)
            and b"connection" not in headers
            and cycle.keep_alive
            and cycle.scope["method"] != "HEAD"
            and not (cycle.flow.write_paused or cycle.disconnected)
        )

    def _answer(self, start: Any, body: bytes) -> None:
        cycle = self._cycle
        lines = [b"%b: %b\r\n" % each for each in (*cycle.default_headers, *start["headers"])]
        head = b"".join((STATUS_LINE[start["status"]], *lines))
        if not head.count(b"\n") == head.count(b"\r") == 1 + len(lines):
            raise RuntimeError("a header of the answer breaks its line")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self._outgoing.add(cycle.transport, b"".join((head, b"\r\n", body)))
        cycle.message_event.set()
        cycle.on_response()


class _HttpProtocol(HttpToolsProtocol):
    def __init__(self, outgoing: _Outgoing, stop: asyncio.Event, **given: Any) -> None:
        super().__init__(**given)
        self._outgoing = outgoing
        self._stop = stop

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._stop.is_set():
            cycle.keep_alive = False  # the client's next request goes to another process
        super()._start_asgi_task(cycle, _WholeAnswer(app, cycle, self._outgoing))

    def send_400_response(self, msg: str) -> None:
        self._outgoing.write()
        super().send_400_response(msg)

    def shutdown(self) -> None:
        self._outgoing.write()
        super().shutdown()


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    def data_received(self, data: bytes) -> None:
        """Also answer a handshake with too large headers: uvicorn would leave it waiting."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def keepalive_timeout(self) -> None:
        """Do not wait until a client that answers nothing has read everything: it may never."""
        super().keepalive_timeout()
        self.transport.abort()

    async def send(self, message: Any) -> None:
        """Take a refused handshake for complete: uvicorn would log an error of the application."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True


async def serve_app(
    app: Any,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    drain_s: float = 0.0,
    ping_s: float = _PING_S,
) -> None:
    """Answer requests to an ASGI application until `stop` is set, the last ones included.

    For `drain_s` more, new connections are taken: what sends them here has not noticed yet.
    """
    config = uvicorn.Config(
        app,
        access_log=False,
        http=cast(type[asyncio.Protocol], partial(_HttpProtocol, _Outgoing(), stop)),
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_REQUESTS_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
        ws=_WebSocketProtocol,
        ws_max_size=_MAX_MESSAGE_BYTES,
        ws_ping_interval=ping_s,
        ws_ping_timeout=ping_s,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(_drained(stop, drain_s))
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving


async def _drained(stop: asyncio.Event, drain_s: float) -> None:
    await stop.wait()
    await asyncio.sleep(drain_s)
