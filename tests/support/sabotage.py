"""A module of handlers that breaks a background task of the process that imports it."""

from __future__ import annotations

from internal.adapters.postgres.wakeups import PostgresWakeups
from tests.support.misbehaving import raises

__all__ = ["raises"]


async def _break(self: PostgresWakeups) -> None:
    raise RuntimeError("wake-ups are broken")


PostgresWakeups.run = _break  # type: ignore[method-assign]
