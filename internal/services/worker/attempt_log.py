"""The lines that one attempt logs, until they are written."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from internal.domain.attempt_log import (
    LINES_AT_ONCE,
    LINES_PER_S,
    MAX_LINE_CHARS,
    MAX_LINES,
    dropped_line,
    shortened,
)
from internal.domain.ports.work import LoggedLine
from internal.services.allowance import Allowance


class AttemptLog:
    """Takes lines from any thread, as many as are kept, and counts the others.

    A line stays until it is known to be written: the attempt's end brings along whatever a round
    has not confirmed, be it under way, and its number tells the store which it has already.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._allowance = Allowance(LINES_PER_S, LINES_AT_ONCE)
        self._unwritten: deque[LoggedLine] = deque()
        self._lines = 0
        self._dropped = 0
        self._closed = False

    def add(self, text: str) -> None:
        """Take a line; after `close` none is of interest any more."""
        kept = shortened(text, MAX_LINE_CHARS)
        with self._lock:
            now = self._now()
            if self._closed:
                return
            if self._lines < MAX_LINES and self._allowance.allows(1, now):
                self._append(kept, now)
            else:
                self._dropped += 1

    def unwritten(self) -> Sequence[LoggedLine]:
        """The lines that are not known to be written, in order."""
        with self._lock:
            return tuple(self._unwritten)

    def written(self, upto: int) -> None:
        """The store has all lines up to this number."""
        with self._lock:
            while self._unwritten and self._unwritten[0].number <= upto:
                self._unwritten.popleft()

    def close(self) -> Sequence[LoggedLine]:
        """The attempt has ended: what is still to be written; twice gives the same."""
        with self._lock:
            if self._dropped and not self._closed:
                self._append(dropped_line(self._dropped), self._now())
            self._closed = True
            return tuple(self._unwritten)

    def _append(self, text: str, now: float) -> None:
        self._lines += 1
        self._unwritten.append(LoggedLine(self._lines, now, text))
