"""The probe of workers: a file that a supervisor writes, and `windlass health worker` reads.

One file a supervisor, `health/worker-PID.json` in the data directory, locked for as long as its
process lives: one that can be locked was left by a dead process. Times are of the machine's
monotonic clock.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

WRITTEN_EVERY_S: Final = 1.0
# A lease is still good for as long again when a silent worker is noticed.
SILENCE: Final = 0.5
SHORTEST_SILENCE: Final = timedelta(seconds=5)
# It is written in place: a reader may come in between.
_READS: Final = 3
_READ_AGAIN_S: Final = 0.05

_log = logging.getLogger(__name__)


class State(msgspec.Struct, frozen=True):
    """What a supervisor knows: when each worker last gave a sign of life, None before the first."""

    pid: int
    written_at: float
    children: Mapping[str, float | None]


class StateFile:
    """The supervisor's end."""

    def __init__(self, data_dir: Path) -> None:
        folder = _folder(data_dir)
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"worker-{os.getpid()}.json"
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, children: Mapping[str, float | None]) -> None:
        """Say when each worker last gave a sign of life, by `time.monotonic()`."""
        text = msgspec.json.encode(State(os.getpid(), time.monotonic(), children))
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))

    def close(self) -> None:
        """Take the file away: a worker that was stopped is no failure."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


async def report(data_dir: Path, children: Callable[[], Mapping[str, float | None]]) -> None:
    """Write the file until canceled; without it workers work, and the probe says that none does."""
    try:
        file = StateFile(data_dir)
    except OSError as error:
        _log.warning("'windlass health worker' cannot be answered: %s", error)
        return
    try:
        while True:
            _write(file, children())
            await asyncio.sleep(WRITTEN_EVERY_S)
    finally:
        file.close()


def _write(file: StateFile, children: Mapping[str, float | None]) -> None:
    try:
        file.write(children)
    except OSError as error:
        _log.warning("cannot say for 'windlass health worker' how the workers are: %s", error)


def fault(data_dir: Path, lease_ttl: timedelta) -> str | None:
    """What is wrong with the workers of this data directory; None when all of them live."""
    states = [state for path in _folder(data_dir).glob("worker-*.json") if (state := _read(path))]
    if not states:
        return f"no worker runs with the data directory {data_dir}"
    longest_s = max(SHORTEST_SILENCE, SILENCE * lease_ttl).total_seconds()
    faults = (_fault(state, longest_s) for state in states)
    return next((each for each in faults if each is not None), None)


def _fault(state: State, longest_s: float) -> str | None:
    now = time.monotonic()
    if now - state.written_at > longest_s:
        return (
            f"the supervisor (process {state.pid}) has stood still for {_s(now, state.written_at)}"
        )
    for name, heard_at in state.children.items():
        if heard_at is None:
            return f"{name} has not begun to work"
        # Up to the moment of writing: what came later a supervisor that stands still cannot know.
        if state.written_at - heard_at > longest_s:
            return f"{name} has given no sign of life for {_s(state.written_at, heard_at)}"
    return None


def _s(now: float, then: float) -> str:
    return f"{now - then:.0f} s"


def _read(path: Path) -> State | None:
    """None for a file that a dead supervisor has left, which is taken away."""
    try:
        with path.open("rb") as file:
            if _can_lock(file.fileno()):
                path.unlink(missing_ok=True)
                return None
            for _ in range(_READS):
                try:
                    return msgspec.json.decode(file.read(), type=State)
                except msgspec.DecodeError:
                    time.sleep(_READ_AGAIN_S)
                    file.seek(0)
    except FileNotFoundError:
        pass
    return None


def _can_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _folder(data_dir: Path) -> Path:
    return data_dir / "health"
