"""Whether requests can be served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final

from internal.domain.errors import UnavailableError

Check = Callable[[], Awaitable[None]]

# Anyone may ask, as often as they like.
REMEMBERED_S: Final = 0.5
# Less than a load balancer waits for an answer.
LONGEST_S: Final = 4.0


class Readiness:
    """Asks each check in turn, while the process is not stopping."""

    def __init__(self, checks: Sequence[Check], is_stopping: Callable[[], bool]) -> None:
        """A check raises UnavailableError, saying what is missing."""
        self._checks = checks
        self._is_stopping = is_stopping
        self._asking: asyncio.Task[None] | None = None
        self._good_until = 0.0

    async def check(self) -> None:
        """Ask now; those who ask at once share the answer.

        Raises:
            UnavailableError: saying what is missing, in bounded time.
        """
        if self._is_stopping():
            raise UnavailableError("This process is stopping: send requests to another one")
        if monotonic() < self._good_until:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="readiness")
            self._asking.add_done_callback(_note_failure)
        # Not canceled: a server that stands still does not answer to that either.
        done, _ = await asyncio.wait({self._asking}, timeout=LONGEST_S)
        if not done:
            raise UnavailableError("The database does not answer: try again shortly")
        self._asking.result()

    async def _ask(self) -> None:
        for check in self._checks:
            await check()
        self._good_until = monotonic() + REMEMBERED_S


def _note_failure(asking: asyncio.Task[None]) -> None:
    """Even when all who asked have left: asyncio would log it."""
    if not asking.cancelled():
        asking.exception()
