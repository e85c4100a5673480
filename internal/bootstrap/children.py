"""Child processes that are started again when they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from mmap import mmap
from socket import socket, socketpair
from typing import Any, Final
from uuid import UUID

import msgspec

from internal.bootstrap.errors import StartError
from internal.bootstrap.exits import ExitCode
from internal.bootstrap.messages import STOP_ASKED
from internal.bootstrap.watch import Verdict, Watch
from internal.services.worker.supervision import Marks

_SHORT_LIFE_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 30.0

_log = logging.getLogger(__name__)


class Care(msgspec.Struct, frozen=True):
    """What a supervisor does for its children.

    `record_end` says that the holders of leases are gone, which jobs did it, and which may have.
    """

    lease_ttl: timedelta
    record_end: Callable[[Sequence[str], Sequence[UUID], Sequence[UUID]], Awaitable[None]]
    want_isolated: Callable[[], None]


class Child:
    """One `windlass` command run as our child; its lifeline ends when we do."""

    def __init__(self, name: str, *command: str) -> None:
        self.name = name
        self.runs_jobs = "worker" in command
        # -P: what lies in the working directory is not imported by accident.
        self._command = ("-P", "-m", "internal.bootstrap.cli", *command, "--supervised")
        self._process: Process | None = None
        self._lifeline: socket | None = None
        self._watch: Watch | None = None
        self._short_lives = 0
        self._recording: set[asyncio.Task[None]] = set()

    async def keep(self, care: Care) -> None:
        """Run it, and again whenever it ends, with growing pauses while it ends early.

        Raises:
            StartError: when it ended as one that no further start would help.
        """
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            code, replaced = await self.live(care)
            if code == ExitCode.UNUSABLE:
                raise StartError(f"the {self.name} cannot start: it said why above")
            if code == ExitCode.RECYCLE or replaced:
                _log.info("replacing the %s", self.name)
                continue
            pause_s = self._pause_s(lived_s=clock() - began)
            how = how_ended(code)
            _log.error("the %s ended with %s: starting it again in %d s", self.name, how, pause_s)
            await asyncio.sleep(pause_s)

    async def live(self, care: Care) -> tuple[int, bool]:
        """Run it once; its exit code, and whether it was ended since it gave no sign of life."""
        watch = self._watch = await self._start(care)
        assert self._process is not None  # noqa: S101 - for mypy: `_start` has set it
        reading = asyncio.create_task(watch.read())
        silent = asyncio.create_task(watch.until_silent(care.lease_ttl))
        ended = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({silent, ended}, return_when=asyncio.FIRST_COMPLETED)
            verdict = None if ended.done() else silent.result()
            if verdict is not None:
                self._end(verdict)
            code = await ended
        finally:
            for task in (reading, silent, ended):
                task.cancel()
            await asyncio.gather(reading, silent, ended, return_exceptions=True)
        self._note_end(code, watch, verdict, care)
        return code, verdict is not None

    async def _start(self, care: Care) -> Watch:
        end, childs_end = socketpair()
        stacks, childs_stacks = os.pipe()
        memory = _shared_memory()
        shared = (childs_stacks, memory)
        marks = mmap(memory, Marks.SIZE)
        with childs_end:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._command,
                *("--watched-by", ",".join(map(str, shared))),
                stdin=childs_end.fileno(),
                pass_fds=shared,
                # Out of reach of `kill 0` in a handler are thus all but its own process.
                start_new_session=True,
            )
        for descriptor in shared:
            os.close(descriptor)
        self._lifeline = end
        _log.info("started the %s", self.name, extra={"pid": self._process.pid})
        return Watch(self._process.pid, end, stacks, marks, care.want_isolated)

    def _end(self, verdict: Verdict) -> None:
        known: dict[str, Any] = {"pid": self._process and self._process.pid, **verdict.known}
        _log.error("the %s gives %s: ending it", self.name, verdict.reason, extra=known)
        self.send(signal.SIGKILL)

    def _note_end(self, code: int, watch: Watch, verdict: Verdict | None, care: Care) -> None:
        known: dict[str, Any] = {"pid": self._process and self._process.pid}
        began_last = watch.began_last if verdict is None and is_crash(code) else []
        if began_last:
            known["began_last"] = [str(each) for each in began_last]
        if code < 0 and verdict is None and watch.stacks:
            known["stack"] = watch.stacks
        level = logging.WARNING if is_crash(code) else logging.INFO
        _log.log(level, "the %s ended with %s", self.name, how_ended(code), extra=known)
        worker_ids = watch.last.worker_ids
        watch.close()
        if worker_ids and code != ExitCode.OK:
            blamed = [] if verdict is None else verdict.blamed
            ending = care.record_end(worker_ids, blamed, began_last)
            recording = asyncio.ensure_future(ending)
            self._recording.add(recording)
            recording.add_done_callback(self._recording.discard)

    def ask_to_stop(self) -> None:
        """Ask it to end gracefully; it can tell this from a signal of another's."""
        if self._lifeline is not None:
            with contextlib.suppress(OSError):  # it has ended, or does not read
                self._lifeline.send(STOP_ASKED)
        self.send(signal.SIGTERM)

    @property
    def is_at_work(self) -> bool:
        """Whether it has said under which name it holds leases."""
        return self._watch is not None and bool(self._watch.last.worker_ids)

    @property
    def heard_at(self) -> float | None:
        """The monotonic time of its last sign of life; None before the first."""
        is_running = self._process is not None and self._process.returncode is None
        return self._watch.heard_at if self._watch is not None and is_running else None

    def send(self, number: signal.Signals) -> None:
        """Send a signal if it is there."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def ended(self) -> None:
        """Wait for its end."""
        if self._process is not None:
            await self._process.wait()

    def _pause_s(self, lived_s: float) -> float:
        self._short_lives = self._short_lives + 1 if lived_s < _SHORT_LIFE_S else 1
        return min(_LONGEST_PAUSE_S, 2.0 ** (self._short_lives - 1) - 1)


def is_crash(code: int) -> bool:
    """Whether a process ended otherwise than it was meant to."""
    return code not in {ExitCode.OK, ExitCode.RECYCLE}


def how_ended(code: int) -> str:
    """In words."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _shared_memory() -> int:
    """A descriptor of as many bytes as the marks take; where it can be, no disk is behind them."""
    if sys.platform == "linux":
        memory = os.memfd_create("windlass")
    else:
        memory, path = tempfile.mkstemp()
        os.unlink(path)  # noqa: PTH108 - the text that mkstemp gives
    os.ftruncate(memory, Marks.SIZE)
    return memory


async def end_all(children: Sequence[Child], *, at_once: asyncio.Event, patience_s: float) -> None:
    """Ask all to stop and wait; kill what is left after the patience, or when `at_once` is set."""
    for child in children:
        child.ask_to_stop()
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
