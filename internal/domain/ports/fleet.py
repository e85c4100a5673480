"""What operators see of the worker processes."""

from __future__ import annotations

from typing import Protocol

import msgspec


class WorkerLoad(msgspec.Struct, frozen=True):
    """A live worker process as of its last heartbeat.

    `lag_ms` is the longest that a handler held it up since the heartbeat before.
    """

    id: str
    slots: int
    running: int
    lag_ms: int


class Fleet(Protocol):
    """All worker processes of the installation."""

    async def loads(self) -> list[WorkerLoad]:
        """Those that are alive."""
