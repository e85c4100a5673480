from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(
    holds: Callable[[], bool | Awaitable[bool]], within_s: float = 30, every_s: float = 0.01
) -> None:
    """Wait until a condition holds; generous, since only a broken one ever takes that long."""
    async with asyncio.timeout(within_s):
        while True:
            answer = holds()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(every_s)
