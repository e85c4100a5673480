"""Child processes that are started again when they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Sequence
from typing import Final

from internal.bootstrap.errors import StartError
from internal.bootstrap.process import TERMINAL_SIGNALS, ExitCode

_SHORT_LIFE_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 30.0

_log = logging.getLogger(__name__)


class Child:
    """One `windlass` command run as our child; its standard input ends when we do."""

    def __init__(self, name: str, command: str) -> None:
        self.name = name
        self.command = command
        # -P: what lies in the working directory is not imported by accident.
        self._command = ("-P", "-m", "internal.bootstrap.cli", command, "--supervised")
        self._process: Process | None = None
        self._short_lives = 0

    async def keep(self) -> None:
        """Run it, and again whenever it ends, with growing pauses while it ends early.

        Raises:
            StartError: when it ended as one that no further start would help.
        """
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            with _terminal_signals_blocked():
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, *self._command, stdin=PIPE
                )
            code = await self._process.wait()
            if code == ExitCode.UNUSABLE:
                raise StartError(f"the {self.name} cannot start: it said why above")
            if code != ExitCode.RECYCLE:
                await asyncio.sleep(self._pause_s(code, lived_s=clock() - began))

    @property
    def heard_at(self) -> float | None:
        """The monotonic time of its last sign of life; None before the first."""
        is_running = self._process is not None and self._process.returncode is None
        return time.monotonic() if is_running else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal if it is there."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def ended(self) -> None:
        """Wait for its end."""
        if self._process is not None:
            await self._process.wait()

    def _pause_s(self, code: int, lived_s: float) -> float:
        self._short_lives = self._short_lives + 1 if lived_s < _SHORT_LIFE_S else 1
        pause_s = min(_LONGEST_PAUSE_S, 2.0 ** (self._short_lives - 1) - 1)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        _log.error("the %s ended with %s: starting it again in %d s", self.name, how, pause_s)
        return pause_s


@contextlib.contextmanager
def _terminal_signals_blocked() -> Iterator[None]:
    """A child inherits this: a Ctrl-C that comes while it imports makes no traceback."""
    signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL_SIGNALS)


async def end_all(children: Sequence[Child], *, at_once: asyncio.Event, patience_s: float) -> None:
    """Ask all to stop and wait; kill what is left after the patience, or when `at_once` is set."""
    for child in children:
        child.send(signal.SIGTERM)
    ended = asyncio.create_task(_all_ended(children))
    hurry = asyncio.create_task(at_once.wait())
    await asyncio.wait((ended, hurry), timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not ended.done():
        _log.warning("killing the processes that did not end")
        for child in children:
            child.send(signal.SIGKILL)
    await ended


async def _all_ended(children: Sequence[Child]) -> bool:
    for child in children:
        await child.ended()
    return True
