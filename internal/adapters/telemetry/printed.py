"""What handlers print goes the way of log lines: it never waits for what reads it."""

from __future__ import annotations

import io
import os
from typing import Final

from internal.adapters.telemetry.lines import MAX_WAITING_BYTES, LineWriter

_LAST_LINES_S: Final = 1.0


class PrintedText(io.TextIOWrapper):
    """A text stream in the place of `sys.stdout` or `sys.stderr`; what finds no room is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._lines = LineWriter(descriptor)
        buffer = _Printed(descriptor, self._lines)
        super().__init__(buffer, "utf-8", "backslashreplace", line_buffering=True)

    def drain(self, within_s: float = _LAST_LINES_S) -> bool:
        """Write what is there, but do not wait long: for a process that ends. Whether all is."""
        self.flush()
        return self._lines.flush(within_s)


class _Printed(io.BufferedIOBase):
    def __init__(self, descriptor: int, lines: LineWriter) -> None:
        self._descriptor = descriptor
        self._lines = lines

    @property
    def name(self) -> str:
        return f"<{self._descriptor}>"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: object, /) -> int:
        written = memoryview(data)  # type: ignore[arg-type] # whatever has bytes
        self._lines.put(bytes(written[:MAX_WAITING_BYTES]))
        return len(written)
