from __future__ import annotations

import logging
import time
from typing import Final

_POLL_S: Final = 0.02
_NOTICE_EVERY_S: Final = 3.0

_log = logging.getLogger(__name__)


class Patience:
    """Waiting for something that takes an unknown time, saying so every few seconds."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._began = time.monotonic()
        self._notices = 0

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    def wait(self) -> None:
        """Sleep for an instant."""
        if self.seconds > _NOTICE_EVERY_S * (self._notices + 1):
            self._notices += 1
            _log.info("%s (%d s so far) ...", self._what, self.seconds)
        time.sleep(_POLL_S)
