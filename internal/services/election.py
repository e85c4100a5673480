"""The periodic tasks that one process of an installation does for all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Final

from internal.domain.errors import UnavailableError
from internal.domain.ids import new_worker_id
from internal.domain.ports.election import Leadership
from internal.domain.ports.feed import Wakeups
from internal.services.duty import Duty

LEADERSHIP: Final = timedelta(seconds=5)
RENEWED_EVERY_S: Final = 1.0
RESIGN_S: Final = 2.0
# They begin one after the other, unless there is something for them to do: at once each would take
# a connection of its own, where PostgreSQL plans their statements anew, some for 20 ms.
APART: Final = timedelta(milliseconds=100)

_log = logging.getLogger(__name__)


class Election:
    """Runs periodic tasks in the process that leads; the others are ready to take over.

    Two may lead for a moment, when one stood still and does not know yet: each of the tasks bears
    that. It renews on the loop that the tasks run on, so that one that is blocked loses them.
    """

    def __init__(
        self, leadership: Leadership, duties: Sequence[Duty], *, wait: timedelta = timedelta(0)
    ) -> None:
        """`wait`: how much longer than others this process leaves a free leadership alone."""
        self._leadership = leadership
        self._duties = duties
        self._wait = wait
        self._holder = new_worker_id()
        self._leads_until = 0.0
        self._failing = False

    async def run(self, wakeups: Wakeups) -> None:
        """Live until canceled; then another process may take over at once."""
        try:
            while True:
                if await self.stand():
                    await self._lead(wakeups)
                await asyncio.sleep(RENEWED_EVERY_S)
        finally:
            await self._resign()

    async def stand(self) -> bool:
        """Take or renew the leadership; whether this process leads."""
        began = monotonic()
        try:
            leads = await self._leadership.lead(self._holder, LEADERSHIP, wait=self._wait)
        except UnavailableError as error:
            if not self._failing:
                cause = repr(error.__cause__)
                _log.warning("no leader is elected: %s", error, extra={"cause": cause})
            self._failing = True
            return monotonic() < self._leads_until
        self._failing = False
        self._leads_until = began + LEADERSHIP.total_seconds() if leads else 0.0
        return leads

    async def _lead(self, wakeups: Wakeups) -> None:
        _log.info("this process does the periodic tasks now")
        tasks = [
            asyncio.create_task(duty.run(wakeups, after=number * APART), name=duty.name)
            for number, duty in enumerate(self._duties)
        ]
        try:
            while await self.stand():
                done, _ = await asyncio.wait(
                    tasks, timeout=RENEWED_EVERY_S, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:  # a duty never returns
                    task.result()
            _log.warning("another process does the periodic tasks now")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _resign(self) -> None:
        if not self._leads_until:
            return
        with suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(RESIGN_S):
                await self._leadership.resign(self._holder, wait=self._wait)
