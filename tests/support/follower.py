"""Clients that follow a user's jobs over WebSockets, and connect again whenever they are cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

_TRY_AGAIN_S: Final = 0.1


class Follower:
    """One client of one API; it counts its connections and the jobs that it saw succeed."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token
        self.connections = 0
        self.seen = 0
        self.closes: list[int | None] = []

    async def run(self) -> None:
        """Follow until canceled."""
        while True:
            try:
                await self._follow()
            except ConnectionClosed as error:
                self.closes.append(error.rcvd.code if error.rcvd else None)
            except (OSError, InvalidHandshake):
                await asyncio.sleep(_TRY_AGAIN_S)

    async def _follow(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        url = self.url.replace("http", "ws", 1) + "/v1/ws/jobs"
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            while True:
                event = json.loads(await socket.recv())["event"]
                self.connections += event == "ready"
                self.seen += event == "job.succeeded"


@asynccontextmanager
async def following(urls: list[str], token: str) -> AsyncIterator[list[Follower]]:
    """A client of each of these for as long as the block lasts."""
    followers = [Follower(url, token) for url in urls]
    tasks = [asyncio.create_task(each.run()) for each in followers]
    try:
        yield followers
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ends), ends
