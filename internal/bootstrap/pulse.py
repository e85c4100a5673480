"""Shows the supervisor that a process lives which has no heartbeat, as workers have."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Final

from internal.services.worker.culprit import look_at_loop
from internal.services.worker.supervision import Supervision
from internal.services.worker.watchdog import LONGEST, SHORTEST_S

LOOK_EVERY_S: Final = 0.5

_log = logging.getLogger(__name__)


class Pulse:
    """A thread that ends the process, to be replaced, when this loop stands still for too long."""

    def __init__(self, supervision: Supervision, lease_ttl: timedelta) -> None:
        self._supervision = supervision
        self._longest_s = max(SHORTEST_S, LONGEST * lease_ttl.total_seconds())
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._ticked = time.monotonic()

    def begin(self) -> None:
        """Watch until the loop is closed."""
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._loop.is_closed():
            time.sleep(LOOK_EVERY_S)
            now = time.monotonic()
            if now - looked > 2 * LOOK_EVERY_S:
                self._ticked = now  # the whole process stood still
            looked = now
            self._supervision.beat((), ())
            if now - self._ticked > self._longest_s:
                self._end(now - self._ticked)
            with suppress(RuntimeError):  # it is closed just now
                self._loop.call_soon_threadsafe(self._tick)

    def _tick(self) -> None:
        self._ticked = time.monotonic()

    def _end(self, stood_s: float) -> None:
        _log.error(
            "the event loop stood still for %.1f s: this process ends, to be replaced",
            stood_s,
            extra={"stack": look_at_loop(self._loop, self._loop_thread, [], {}).stack},
        )
        self._supervision.replace_process()
