"""A small HTTP server on loopback that records what it gets and answers what a test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Received:
    """One request, its header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class LoopbackServer:
    """Where the server listens and what it was asked."""

    port: int
    received: list[Received] = field(default_factory=list)


def reply(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Respond:
    """Answer every request the same."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return raw(("\r\n".join(lines) + "\r\n\r\n").encode() + body)


def raw(answer: bytes) -> Respond:
    """Answer with these bytes."""

    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return respond


@asynccontextmanager
async def serving(
    respond: Respond, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[LoopbackServer]:
    """Serve on a free port of 127.0.0.1; what still runs at the end is cut off."""
    open_calls: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_calls.add(task)
        try:
            site.received.append(await _read(reader))
            await respond(writer)
        finally:
            open_calls.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    site = LoopbackServer(server.sockets[0].getsockname()[1])
    async with server:
        yield site
        for call in set(open_calls):
            call.cancel()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(line, headers, body)
