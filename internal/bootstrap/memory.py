"""Keeps a worker's memory at what its handlers hold."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from typing import Final

import psutil

# New objects, of which a short job makes about five.
COLLECTED_AFTER: Final = 10_000
# A few objects may hold much: then what counts is how much has come since the last collection.
LOOK_EVERY_S: Final = 0.05
GROWTH_BYTES: Final = 64 * 1024 * 1024
GROWTH: Final = 0.25
# Of all time, collections take at most this share.
SHARE: Final = 0.1


def collect_seldom() -> None:
    """Reference counts free what a job leaves; looking for cycles every 700 objects cost a fifth.

    What is loaded by now stays for good and is not looked at again.
    """
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)


def _give_back() -> None:
    """What was freed between blocks in use stays with glibc until it is asked for it.

    As resident it would raise the mark for the next collection, each time.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def collect_when_it_grows() -> None:
    """Live until canceled. A look takes 10 microseconds."""
    resident = psutil.Process().memory_info
    least = resident().rss
    pause_s = LOOK_EVERY_S
    while True:
        await asyncio.sleep(pause_s)
        pause_s = LOOK_EVERY_S
        now = resident().rss
        least = min(least, now)
        if now - least > max(GROWTH_BYTES, GROWTH * least):
            began = time.monotonic()
            gc.collect()
            _give_back()
            least = resident().rss
            pause_s = max(LOOK_EVERY_S, (time.monotonic() - began) / SHARE)
