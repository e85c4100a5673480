from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from internal.domain.ports.feed import Topic


class SilentWakeups:
    """Wakes nobody, as when the listener is down."""

    def send(self, *topics: Topic) -> None:
        """Nobody hears of it."""

    @contextmanager
    def subscribe(self, wake: Callable[[], None], *topics: Topic) -> Iterator[None]:
        yield
