from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from internal.domain.ports.feed import Topic


class SilentWakeups:
    """Wakes nobody, as when the listener is down."""

    def send(self, *topics: Topic) -> None:
        """Nobody hears of it."""

    @asynccontextmanager
    async def subscribe(
        self,
        wake: Callable[[], None],  # noqa: ARG002  # named by the port
        *topics: Topic,  # noqa: ARG002
    ) -> AsyncIterator[None]:
        yield
