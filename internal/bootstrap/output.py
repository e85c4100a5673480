"""What a command says to the person who started it."""

from __future__ import annotations

import functools
from typing import Final

from internal.adapters.telemetry import LineWriter, flush_logs, log_lines

_STDOUT: Final = 1
_WITHIN_S: Final = 1.0


@functools.cache
def _writer() -> LineWriter:
    return LineWriter(_STDOUT)


def complain(text: str) -> None:
    """Write a line to standard error, in the same way."""
    lines = log_lines()
    lines.put(f"{text}\n".encode())
    lines.flush(_WITHIN_S)


def say(text: str) -> None:
    """Write a line, after those of the log; if nothing reads them, go on without."""
    flush_logs()
    _writer().put(f"{text}\n".encode())
    _writer().flush(_WITHIN_S)
