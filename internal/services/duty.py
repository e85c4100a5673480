"""A background duty: something to do now and again, sooner when somebody wakes it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from internal.domain.errors import UnavailableError
from internal.domain.ports.feed import Topic, Wakeups

# At least so long between two rounds: a burst becomes few, and a lone event is not late at all.
REST: Final = timedelta(milliseconds=2)
# How soon a round that failed is tried again, however rare it is otherwise.
LONGEST_RETRY: Final = timedelta(seconds=5)

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
        self._failing = False

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
        except UnavailableError as error:
            if not self._failing:
                _log.warning("%s waits for the database", self.name, extra={"error": str(error)})
            self._failing = True
        except Exception:  # noqa: BLE001 - a duty outlives whatever one round meets
            _log.exception("%s failed, it goes on after a pause", self.name)
            self._failing = True
        else:
            if self._failing:
                _log.info("%s works again", self.name)
            self._failing = False
            return self._pause if pause is None else min(pause, self._pause)
        return min(self._pause, LONGEST_RETRY)

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
