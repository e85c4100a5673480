"""Which of SQLAlchemy's connections are too old to be used; asyncpg's pool knows it itself."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine

from internal.adapters.postgres.faults import STALE, driver_error

# A server that refuses every write must not have all connections made anew for each of them.
RENEWED_EVERY_S: Final = 1.0


class Age:
    """Has an engine's connections made anew when they are older than the server's state."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._renewed_at = 0.0
        event.listen(engine.sync_engine, "connect", self._note)
        event.listen(engine.sync_engine, "checkout", self._check)
        event.listen(engine.sync_engine, "handle_error", _throw_away_stale)

    def grows_old(self) -> bool:
        """Take all connections made until now for too old; False when that was just done."""
        now = monotonic()
        if now - self._renewed_at < RENEWED_EVERY_S:
            return False
        self._renewed_at = now
        return True

    def _note(self, _connection: object, record: Any) -> None:
        record.info["connected_at"] = monotonic()

    def _check(self, _connection: object, record: Any, _proxy: object) -> None:
        if record.info["connected_at"] < self._renewed_at:
            raise DisconnectionError("made before the server changed")


def _throw_away_stale(context: ExceptionContext) -> None:
    if isinstance(driver_error(context.original_exception), STALE):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False  # `Age` sees to the others
