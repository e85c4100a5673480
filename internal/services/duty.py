"""A background duty: something to do now and again, sooner when somebody wakes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from internal.domain.errors import ContentionError, UnavailableError, reason_of
from internal.domain.ports.feed import Topic, Wakeups

# At least so long between two rounds: a burst becomes few, and a lone event is not late at all.
REST: Final = timedelta(milliseconds=2)
# How soon a round that failed is tried again, however rare it is otherwise.
LONGEST_RETRY: Final = timedelta(seconds=5)
# How often at once, when others were in the way.
CONTENTIONS: Final = 3
# A fault of ours does not heal by itself: each round that meets it again waits twice as long.
SELDOM: Final = timedelta(minutes=1)
DOUBLINGS: Final = 10

_log = logging.getLogger(__name__)


class Duty:
    """Runs `run_once` until canceled, at least every `pause`.

    `run_once` may return a shorter pause until the next round; zero means that more is waiting.
    Otherwise there are `rest` and more between two rounds, whoever wakes it.
    """

    def __init__(
        self,
        name: str,
        run_once: Callable[[], Awaitable[timedelta | None]],
        *,
        pause: timedelta,
        rest: timedelta = REST,
        topics: tuple[Topic, ...] = (),
    ) -> None:
        self.name = name
        self._run_once = run_once
        self._pause = pause
        self._rest = rest
        self._topics = topics
        self._due = asyncio.Event()
        # Why the last round failed, None when it did not.
        self._failure: str | None = None
        self._faults = 0
        self._contended = 0

    async def run(self, wakeups: Wakeups, *, after: timedelta = timedelta(0)) -> None:
        """Live until canceled; a round that fails is logged and soon tried again.

        The first one comes `after` a while, or when somebody wakes it.
        """
        with wakeups.subscribe(self.wake, *self._topics):
            await self._news_within(after)
            while True:
                self._due.clear()
                await self._wait(await self._round())

    def wake(self) -> None:
        """Have the next round begin now."""
        self._due.set()

    async def _round(self) -> timedelta:
        try:
            pause = await self._run_once()
        except ContentionError as error:
            self._contended += 1
            if self._contended <= CONTENTIONS:
                return timedelta(0)
            return self._wait_for_database(error)
        except UnavailableError as error:
            return self._wait_for_database(error)
        except Exception as error:  # noqa: BLE001 - a duty outlives whatever one round meets
            return self._give_up_round(error)
        if self._failure is not None:
            _log.info("%s works again", self.name)
        self._failure, self._faults, self._contended = None, 0, 0
        return self._pause if pause is None else min(pause, self._pause)

    def _wait_for_database(self, error: UnavailableError) -> timedelta:
        """Say so once for each reason."""
        if error.reason != self._failure:
            _log.warning("%s waits for the database", self.name, extra={"reason": error.reason})
        self._failure = error.reason
        return min(self._pause, LONGEST_RETRY)

    def _give_up_round(self, error: Exception) -> timedelta:
        """Show the stack once for each fault, and come back more and more seldom."""
        reason = reason_of(error)
        if reason != self._failure:
            self._faults = 0
            _log.error("%s failed, it is tried again later", self.name, exc_info=error)
        self._failure = reason
        self._faults += 1
        pause = min(self._pause, LONGEST_RETRY) * 2.0 ** min(self._faults - 1, DOUBLINGS)
        return min(pause, SELDOM)

    async def _wait(self, pause: timedelta) -> None:
        if pause <= timedelta(0):
            await asyncio.sleep(0)
            return
        await asyncio.sleep(self._rest.total_seconds())
        await self._news_within(pause)

    async def _news_within(self, pause: timedelta) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._due.wait()
