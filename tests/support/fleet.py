"""Worker processes to be killed, by the dozen."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Final

from internal.bootstrap import cli

# A worker's start takes Python 0.7 s of CPU, more than the pause between two kills: so each is
# forked from a process that has imported the code, and runs the command from there.
FORKED: Final = multiprocessing.get_context("forkserver")
IMPORTED: Final = [
    "internal.bootstrap.cli",
    "internal.bootstrap.worker",
    "internal.bootstrap.database",
]


def work(settings: Mapping[str, str], log: str, options: Sequence[str]) -> None:
    """What `windlass worker` does as a supervisor starts it, in a process of its own."""
    os.environ.update(settings)
    output = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.pipe()[0], 0)  # where a supervisor would hold the other end
    sys.exit(cli.run(["worker", "--supervised", *options]))


class Member:
    """A worker process with its log."""

    def __init__(self, settings: Mapping[str, str], log: Path, *options: str) -> None:
        self._log = log
        self.process: BaseProcess = FORKED.Process(
            target=work, args=(settings, str(log), options), daemon=True
        )
        self.process.start()

    @property
    def is_at_work(self) -> bool:
        """Whether it has come so far that it claims jobs."""
        return self.process.is_alive() and self._log.exists() and "working" in self._log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


class Fleet:
    """So many workers at any time; the dead are replaced at once.

    Beside them is an isolated one, for jobs that were often lost. It is not killed, and ends by
    itself while there is nothing for it to do.
    """

    def __init__(self, size: int, settings: Mapping[str, str], folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._numbers = itertools.count(1)
        self._members = [self._start() for _ in range(size)]
        self._isolated = self._start("--alone")
        self.kills = 0

    @property
    def is_at_work(self) -> bool:
        """Whether all of them are."""
        return all(each.is_at_work for each in self._members)

    def kill_one(self, random: Random) -> None:
        """By SIGKILL, in whatever it does just now; one of those that are at work."""
        at_work = [each for each in self._members if each.is_at_work]
        if at_work:
            random.choice(at_work).kill()
            self.kills += 1
        self.replace_the_dead()

    def replace_the_dead(self) -> None:
        self._members = [
            each if each.process.is_alive() else self._start() for each in self._members
        ]
        if not self._isolated.process.is_alive():
            self._isolated = self._start("--alone")

    async def stop(self) -> None:
        """Gracefully, as SIGTERM asks, but for one that has only just been started."""
        everyone = [*self._members, self._isolated]
        for each in everyone:
            each.process.terminate()
        for each in everyone:
            await asyncio.to_thread(each.process.join, 30)
        codes = [each.process.exitcode for each in everyone]
        assert set(codes) <= {0, -signal.SIGTERM}, f"a worker did not end gracefully: {codes}"

    def kill(self) -> None:
        for each in (*self._members, self._isolated):
            each.kill()

    def _start(self, *options: str) -> Member:
        log = self._folder / f"worker-{next(self._numbers)}.log"
        return Member(self._settings, log, *options)


@contextmanager
def fleet(size: int, settings: Mapping[str, str], folder: Path) -> Iterator[Fleet]:
    """None of them is left in the end."""
    FORKED.set_forkserver_preload(IMPORTED)
    workers = Fleet(size, settings, folder)
    try:
        yield workers
    finally:
        workers.kill()
