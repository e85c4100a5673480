"""The job type of the latency benchmark."""

from __future__ import annotations

import time
from typing import Any

from windlass import JobContext, handler


@handler("bench.start")
async def start_clock(job: dict[str, Any], ctx: JobContext) -> float:
    """Tells when it started, in seconds of the machine's clock."""
    return time.time()
