from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
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


class _OneWrite:
    """A transport that sends together what is written in one turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written:
            self._transport.write(b"".join(self._written))
            self._written.clear()


class _HttpProtocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send an answer's head and body together: uvicorn writes one after the other.

        uvloop makes a system call of each, and each wakes the client: a third of a submission.
        """
        whole = _OneWrite(cast(asyncio.Transport, transport), self.loop)
        super().connection_made(cast(asyncio.Transport, whole))


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
    app: Any, listener: socket.socket, stop: asyncio.Event, *, ping_s: float = _PING_S
) -> None:
    """Answer requests to an ASGI application until `stop` is set, the last ones included."""
    config = uvicorn.Config(
        app,
        access_log=False,
        http=_HttpProtocol,
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
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving
