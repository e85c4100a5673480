"""A real WebSocket on `/v1/ws/jobs`, as clients of ours open it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.api import Api, SignedUp

Event = dict[str, Any]

READY = {"event": "ready"}
RESYNC = {"event": "resync"}


class LiveSocket:
    """An open socket, which counts its pings apart from the events."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.pings = 0

    async def next(self) -> Event:
        """The next event; the wait is generous, since only a broken one ever takes that long."""
        async with asyncio.timeout(30):
            while True:
                event: Event = json.loads(await self.connection.recv())
                if event != {"event": "ping"}:
                    return event
                self.pings += 1

    async def until(self, name: str) -> list[Event]:
        """Everything up to the first event of that name."""
        events = [await self.next()]
        while events[-1]["event"] != name:
            events.append(await self.next())
        return events

    async def says(self, ticket: object) -> None:
        """Send a browser's first message."""
        await self.connection.send(json.dumps({"ticket": ticket}))

    async def close_code(self) -> int | None:
        """Read on until the server closes."""
        with suppress(ConnectionClosed):
            while True:
                await self.next()
        return self.connection.close_code


@asynccontextmanager
async def socket(api: Api, token: str | None = None, **options: Any) -> AsyncIterator[LiveSocket]:
    """Open a socket; a token is sent as clients on servers do."""
    headers = dict(options.pop("additional_headers", {}))
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    url = api.url.replace("http", "ws", 1) + "/v1/ws/jobs"
    # Without a limit: a client with a full queue would not even read the answer to its close.
    options = {"max_queue": None, "proxy": None, **options}
    async with connect(url, additional_headers=headers, **options) as connection:
        yield LiveSocket(connection)


@asynccontextmanager
async def watching(api: Api, user: SignedUp) -> AsyncIterator[LiveSocket]:
    """A socket that has been told that it is ready."""
    async with socket(api, user.session["access_token"]) as live:
        assert await live.next() == READY
        yield live


async def a_ticket(user: SignedUp) -> str:
    answer = await user.client.post("/v1/ws/ticket")
    assert answer.status_code == 201, answer.text
    ticket: str = answer.json()["data"]["ticket"]
    return ticket
