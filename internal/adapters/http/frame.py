"""What every answer has: a request id, the version, the browser's security headers, a log line."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from time import perf_counter
from typing import Final, Protocol

from internal.adapters.http.asgi import App, Message, Receive, Scope, Send
from internal.adapters.http.metrics import RequestMetrics
from internal.domain.ids import new_request_id

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
PERMISSIONS: Final = ", ".join(
    f"{feature}=()"
    for feature in ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
)

_DEFAULTS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"permissions-policy", PERMISSIONS.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
)
Headers = tuple[tuple[bytes, bytes], ...]

# Where in a request's state a layer within leaves more headers for its answer.
MORE_HEADERS: Final = "more_headers"

# What the route is called that no template matched: the dashboard's files among them.
UNROUTED: Final = "other"
# Asked every few seconds by whoever watches the process; their successes would fill the log.
PROBES: Final = frozenset({"/health", "/ready", "/metrics"})
_STARTS: Final = frozenset(
    {"http.response.start", "websocket.accept", "websocket.http.response.start"}
)
REFUSED: Final = 400
# Four times the largest body that is taken.
MOST_READ_FOR_NOTHING: Final = 64 * 1024 * 1024
LONGEST_READ_FOR_NOTHING_S: Final = 10.0
# A client may send its access token by mistake, and ids are logged.
_SANE_ID: Final = re.compile(rb"(?!eyJ)[A-Za-z0-9._-]{1,100}")


class RequestLog(Protocol):
    """Where every request leaves a line."""

    def note(self, method: str, route: str, status: int, ms: float, request_id: str) -> None:
        """Write about a request, soon; `ms` is from its head to the end of its answer."""


class Frame:
    """The outermost ASGI layer; it treats HEAD as a GET whose body the server leaves out."""

    def __init__(self, app: App, version: str, metrics: RequestMetrics, log: RequestLog) -> None:
        self._app = app
        self._headers = ((b"windlass-version", version.encode()), *_DEFAULTS)
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._headers)
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        finally:
            if scope["type"] == "http":
                self._note(exchange)

    def _note(self, exchange: _Exchange) -> None:
        seconds = perf_counter() - exchange.began
        method = exchange.method
        route = exchange.scope.get("path_template") or UNROUTED
        self._metrics.observe(method, route, exchange.status, seconds)
        if route not in PROBES or exchange.status >= REFUSED:
            ms = round(seconds * 1000, 1)
            self._log.note(method, route, exchange.status, ms, exchange.request_id)


class _Exchange:
    """One request and its answer; the status is 0 while there is none."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        self.began = perf_counter()
        self.status = 0
        self.method = scope.get("method", "GET")
        sent = dict(scope["headers"])
        self.request_id = _request_id(sent.get(b"x-request-id"))
        self.scope = {**scope, "method": "GET"} if self.method == "HEAD" else scope
        self.scope.setdefault("state", {})["request_id"] = self.request_id
        self._receive = receive
        self._send = send
        self._headers = headers
        # Who expects "100-continue" sends the body only when it is asked for.
        self._is_read = scope["type"] != "http" or b"expect" in sent

    async def receive(self) -> Message:
        message = await self._receive()
        if not message.get("more_body", False):
            self._is_read = True
        return message

    async def send(self, message: Message) -> None:
        """Add our headers where an answer begins; those that it brings itself stay."""
        if message["type"] in _STARTS:
            own = dict(message.get("headers", ()))
            missing = [header for header in self._headers if header[0] not in own]
            identity = (b"x-request-id", self.request_id.encode())
            more = self.scope["state"].get(MORE_HEADERS, ())
            message["headers"] = [*message.get("headers", ()), identity, *missing, *more]
            self.status = message.get("status", 101)
            if self.status >= REFUSED and not self._is_read:
                await self._read_the_rest()
        await self._send(message)

    async def _read_the_rest(self) -> None:
        """Let a client send the body that was refused unread.

        Many clients read no answer before they have sent everything: with the connection closed
        under them they would only see that, and never the reason.
        """
        left = MOST_READ_FOR_NOTHING
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_READ_FOR_NOTHING_S):
                while not self._is_read and left > 0:
                    left -= len((await self.receive()).get("body", b""))


def _request_id(sent: bytes | None) -> str:
    return sent.decode() if sent and _SANE_ID.fullmatch(sent) else new_request_id()
