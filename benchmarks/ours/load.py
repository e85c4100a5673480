"""A process that sends one prebuilt request over many connections, each waiting for its answer.

It parses no more of an answer than it must, at about 15 microseconds each: what it measures takes
ten times as long.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
import uvloop

from internal.bootstrap.process import follow_parent

WARM_UP_S: Final = 1.0
_LENGTH: Final = b"content-length: "
_STATUS: Final = slice(9, 12)


class Load(msgspec.Struct, frozen=True):
    """The request, and how long to send it over how many connections."""

    port: int
    method: str
    path: str
    connections: int
    seconds: float
    token: str = ""
    body: str = ""

    def request(self) -> bytes:
        """Its bytes."""
        return (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n{self.body}"
        ).encode()


class Answers(msgspec.Struct, frozen=True):
    """How many came within so many seconds, and the processor time that sending took."""

    answers: int
    seconds: float
    cpu_seconds: float


class _Caller(asyncio.Protocol):
    """One connection; refusals end everything, as a rate of errors says nothing."""

    def __init__(self, request: bytes, failed: asyncio.Future[None]) -> None:
        self._request = request
        self._failed = failed
        self._buffer = b""
        self.answers = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        if not head[_STATUS].startswith(b"2"):
            self._fail(self._buffer.decode())
            return
        self.answers += 1
        self._buffer = b""
        self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc}")

    def _fail(self, reason: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(ConnectionError(reason))


def _length(head: bytes) -> int:
    return int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0])


def _so_far(callers: Sequence[_Caller]) -> Answers:
    """Counted from some moments of their own, as only differences matter."""
    total = sum(each.answers for each in callers)
    return Answers(total, time.perf_counter(), time.process_time())


async def _unless(failed: asyncio.Future[None], seconds: float) -> None:
    await asyncio.wait((failed,), timeout=seconds)
    if failed.done():
        failed.result()


async def send(load: Load) -> Answers:
    """Send for a while, and count after a warm-up."""
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    request = load.request()
    callers = [
        (await loop.create_connection(lambda: _Caller(request, failed), "127.0.0.1", load.port))[1]
        for _ in range(load.connections)
    ]
    await _unless(failed, WARM_UP_S)
    before = _so_far(callers)
    await _unless(failed, load.seconds)
    after = _so_far(callers)
    return Answers(
        answers=after.answers - before.answers,
        seconds=after.seconds - before.seconds,
        cpu_seconds=after.cpu_seconds - before.cpu_seconds,
    )


if __name__ == "__main__":
    follow_parent(timedelta(0))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        wanted = msgspec.json.decode(sys.argv[1], type=Load)
        print(msgspec.json.encode(runner.run(send(wanted))).decode(), flush=True)
