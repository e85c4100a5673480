from __future__ import annotations

import asyncio
import gc
from typing import Any

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from tests.support.work import Process, a_claimed_job


@handler("noop")
async def noop(job: dict[str, Any], ctx: JobContext) -> None: ...


async def test_an_attempt_that_has_ended_leaves_nothing_for_the_collector() -> None:
    process = Process(noop)

    async def run(attempts: int) -> None:
        for _ in range(attempts):
            running = await process.start(a_claimed_job())
            assert running.task is not None
            await asyncio.wait({running.task})

    await run(5)
    gc.collect()
    gc.disable()
    try:
        await run(50)
        assert gc.collect() < 50
    finally:
        gc.enable()
