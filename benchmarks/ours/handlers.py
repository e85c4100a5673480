"""The job types that Windlass is measured with."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from windlass import JobContext, handler


class Rest(msgspec.Struct):
    """How long a job lasts."""

    seconds: float


@handler("bench.noop")
async def noop(job: dict[str, Any], ctx: JobContext) -> None:
    """Does nothing."""


@handler("bench.sleep")
async def sleep(rest: Rest, ctx: JobContext) -> None:
    """Occupies a slot, and no processor."""
    await asyncio.sleep(rest.seconds)


@handler("bench.clock")
async def clock(job: dict[str, Any], ctx: JobContext) -> float:
    """Tells when it started, in seconds of the machine's clock."""
    return time.time()
