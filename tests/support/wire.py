"""Counting what a client asks of PostgreSQL, on the wire between them."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

# The types of the frontend's messages (PostgreSQL's documentation, "Message Formats").
_EXECUTE, _QUERY, _SYNC, _FLUSH = b"E", b"Q", b"S", b"H"
_HOST: Final = re.compile(r"(?<=host=)[^&]+")
_SOCKET: Final = ".s.PGSQL.5432"


class Wire:
    """What all connections through it have sent since the last `forget`."""

    def __init__(self) -> None:
        self.statements = 0
        self.round_trips = 0

    def forget(self) -> None:
        self.statements = self.round_trips = 0

    def note(self, kind: bytes) -> None:
        self.statements += kind in {_EXECUTE, _QUERY}
        self.round_trips += kind in {_SYNC, _QUERY, _FLUSH}


@asynccontextmanager
async def wiretap(url: str) -> AsyncIterator[tuple[str, Wire]]:
    """Another URL of the same database, and what goes over it."""
    wire, streams = Wire(), set()
    found = _HOST.search(url)
    assert found is not None
    socket = Path(found[0], _SOCKET)

    async def connect(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(socket)
        streams.update({to_client, to_server})
        await asyncio.gather(_listen(client, to_server, wire), _pass_on(server, to_client))

    with tempfile.TemporaryDirectory(prefix="wire-") as folder:
        async with await asyncio.start_unix_server(connect, Path(folder, _SOCKET)):
            yield _HOST.sub(folder, url), wire
            for each in streams:
                each.close()


async def _listen(client: asyncio.StreamReader, server: asyncio.StreamWriter, wire: Wire) -> None:
    """Pass on message by message; only the first one has no type."""
    kind = b""
    try:
        while True:
            length = await client.readexactly(4)
            body = await client.readexactly(int.from_bytes(length, "big") - 4)
            wire.note(kind)
            server.write(kind + length + body)
            kind = await client.readexactly(1)
    except (asyncio.IncompleteReadError, ConnectionError):
        server.close()


async def _pass_on(server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
    while data := await server.read(65_536):
        client.write(data)
    client.close()
