"""Writing lines without ever waiting for who reads them."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from select import PIPE_BUF
from typing import Final

# Of lines that are not written yet; what comes on top of it is dropped.
MAX_WAITING_BYTES: Final = 1024 * 1024
# How long to let a full disk or a broken pipe be.
PAUSE_S: Final = 1.0
_LAST_STANDARD: Final = 2


def _of_its_own(descriptor: int) -> int:
    """A standard stream under another number: a handler that closes those closes no log.

    The next file or socket takes such a number, and lines would go into it.
    """
    if descriptor > _LAST_STANDARD:
        return descriptor
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _LAST_STANDARD + 1)


class LineWriter:
    """Writes to a file descriptor from a thread of its own.

    A pipe that is not read, a full disk or a slow terminal hold up that thread only: lines are
    dropped and counted, and when the next one was written, `dropped` makes a line of their number.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        max_waiting: int = MAX_WAITING_BYTES,
        dropped: Callable[[int], bytes] = lambda _: b"",
    ) -> None:
        self._descriptor = _of_its_own(descriptor)
        self._max_waiting = max_waiting
        self._dropped = dropped
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """Also in a forked process, where the thread and what waited for it are the parent's."""
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._size = 0
        self._lost = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, data: bytes, lines: int = 1) -> None:
        """Have whole lines written soon."""
        with self._changed:
            if self._size and self._size + len(data) > self._max_waiting:
                self._lost += lines
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._waiting.append((data, lines))
            self._size += len(data)
            self._changed.notify_all()

    def flush(self, within_s: float) -> bool:
        """Wait until all is written, but not for long; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._size, within_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                data, lines = self._take()
            written = self._write(data)
            with self._changed:
                self._size -= len(data)
                self._lost += 0 if written else lines
                lost, self._lost = (self._lost, 0) if written else (0, self._lost)
                self._changed.notify_all()
            if lost:
                self._write(self._dropped(lost))
            if not written:
                time.sleep(PAUSE_S)

    def _take(self) -> tuple[bytes, int]:
        """As many lines as a pipe takes whole: processes that share one do not mix theirs."""
        data, lines = self._waiting.popleft()
        while self._waiting and len(data) + len(self._waiting[0][0]) <= PIPE_BUF:
            more, count = self._waiting.popleft()
            data, lines = data + more, lines + count
        return data, lines

    def _write(self, data: bytes) -> bool:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    return False
                # Another process that shares it has made it non-blocking.
                select.select([], [self._descriptor], [])
        return True
