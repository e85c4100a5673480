"""A process that reads a user's live events, as a dashboard would."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import msgspec
import websockets

from internal.bootstrap.process import follow_parent


class Listen(msgspec.Struct, frozen=True):
    """Where, and as whom."""

    port: int
    token: str


async def _main(listen: Listen) -> None:
    url = f"ws://127.0.0.1:{listen.port}/v1/ws/jobs"
    headers = {"Authorization": f"Bearer {listen.token}"}
    async with websockets.connect(url, additional_headers=headers, max_queue=None) as socket:
        async for _ in socket:
            pass


if __name__ == "__main__":
    follow_parent(timedelta(0))
    asyncio.run(_main(msgspec.json.decode(sys.argv[1], type=Listen)))
