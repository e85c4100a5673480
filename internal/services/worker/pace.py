from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

# What is claimed ahead is started within about this time.
HORIZON_S: Final = 0.075


class Pace:
    """How many slots will come free within the horizon, by what ended lately.

    Both sums fade with the horizon as their time constant, so `_ended` is about the number of ends
    within one horizon. Many long jobs that end together say little about the next moment; what
    limits them is Little's law: as many as the slots can end at the mean duration.
    """

    def __init__(self, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._faded = clock()
        self._ended = 0.0
        self._busy = 0.0

    def note(self, seconds: float) -> None:
        """An attempt has ended that took so long."""
        self._ended += 1
        self._busy += seconds

    def expected(self) -> int:
        """How many jobs will start within the next horizon, if there are as many."""
        now = self._clock()
        fade = math.exp((self._faded - now) / HORIZON_S)
        self._faded = now
        self._ended *= fade
        self._busy *= fade
        fit = self._slots * HORIZON_S
        return int(self._ended if self._busy <= fit else self._ended * fit / self._busy)
