"""Writes that must not be lost: tried again for as long as that may help."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final

from internal.domain.errors import ContentionError, TimedOutError, UnavailableError

FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 2.0
# How often at once, when others were in the way.
CONTENTIONS: Final = 3

_log = logging.getLogger(__name__)


async def persist(
    record: Callable[[], Awaitable[None]],
    *,
    what: str,
    number: int = 1,
    timeouts: float = math.inf,
) -> None:
    """Try again while the database is away, with growing pauses; each new reason is logged.

    Args:
        what: is written, for the log, in the plural.
        number: of them.
        timeouts: after so many it is given up, where less at once may do.

    Raises:
        TimedOutError: when it took too long as often as that.
    """
    pause, reason, contended, timed_out = FIRST_PAUSE_S, "", 0, 0
    while True:
        try:
            await record()
        except UnavailableError as error:
            contended += isinstance(error, ContentionError)
            timed_out += isinstance(error, TimedOutError)
            if timed_out >= timeouts:
                raise
            if isinstance(error, ContentionError) and contended <= CONTENTIONS:
                continue
            if error.reason != reason:
                reason = error.reason
                _log.warning("%d %s wait for the database", number, what, extra={"reason": reason})
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        else:
            return
