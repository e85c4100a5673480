"""Giving up early when a job's owner cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from internal.domain.handlers import JobContext

LOOK_SECONDS: Final = 0.25

T = TypeVar("T")


class CanceledError(Exception):
    """The handler stopped since the job's owner asked for a cancel."""


async def unless_canceled(ctx: JobContext, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, but look for a cancel several times a second.

    Raises:
        CanceledError: once the owner asked for a cancel; the work was stopped.
    """
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            if ctx.canceled:
                raise CanceledError("stopped as its owner asked")
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait({task})
