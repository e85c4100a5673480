"""What a command says to the person who started it."""

from __future__ import annotations

import functools
import os
from typing import Final

from internal.adapters.telemetry import LineWriter, flush_logs, log_lines
from internal.bootstrap.errors import StartError

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


def answer(text: str) -> None:
    """Write what a command was run for.

    Raises:
        StartError: when that is not possible.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        # What is left in the buffer would fail again, with a stack, when the interpreter ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDOUT)
        os.close(nowhere)
        raise StartError(f"standard output cannot be written: {error.strerror}") from error


def say(text: str) -> None:
    """Write a line, after those of the log; if nothing reads them, go on without."""
    flush_logs()
    _writer().put(f"{text}\n".encode())
    _writer().flush(_WITHIN_S)
