from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import Final

# What is claimed ahead is started within about this time.
HORIZON_S: Final = 0.075
# Ends within less time than this since the first say too little about a rate.
LEAST_S: Final = 0.02


class Pace:
    """How many slots will come free within the horizon, by what ended lately.

    Both sums fade with the horizon as their time constant, so `_ended` is about the number of ends
    within one horizon; soon after a silence, within the part of it that has gone by. Many long jobs
    that end together say little about the next moment; what limits them is Little's law: as many
    as the slots can end at the mean duration.
    """

    def __init__(self, slots: int, clock: Callable[[], float] = monotonic) -> None:
        self._slots = slots
        self._clock = clock
        self._faded = clock()
        self._ended = 0.0
        self._busy = 0.0
        # When the first job started after a silence, and when the latest one ended.
        self._since = 0.0
        self._last = -math.inf

    def note(self, started: float, ended: float) -> None:
        """An attempt has ended; readings of the clock."""
        if ended - self._last > HORIZON_S:
            self._since, self._faded = started, ended
            self._ended = self._busy = 0.0
        self._last = max(self._last, ended)
        self._ended += 1
        self._busy += ended - started

    def expected(self) -> int:
        """How many jobs will start within the next horizon, if there are as many."""
        now = self._clock()
        fade = math.exp((self._faded - now) / HORIZON_S)
        self._faded = now
        self._ended *= fade
        self._busy *= fade
        fit = self._slots * HORIZON_S
        # Held against a whole horizon, it takes 0.3 s to find out that jobs are short.
        watched = -math.expm1(-max(now - self._since, LEAST_S) / HORIZON_S)
        if self._busy <= fit * watched:
            return int(self._ended / watched)
        return int(self._ended * fit / self._busy)
