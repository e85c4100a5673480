"""The real `windlass` command as a process, as an operator runs it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from internal.adapters.embedded.postmaster import processes
from tests.support.conditions import eventually

_OURS = {"internal.bootstrap.cli"}
_SETTINGS = ("WINDLASS_", "DATABASE_URL", "HOST", "PORT")


class Windlass:
    """A started command; its output, both streams, grows in `output`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.output = ""
        self._reading = asyncio.create_task(self._read())

    async def says(self, text: str) -> None:
        """Wait until it has said a text; fail at once when it ends without."""
        await eventually(lambda: text in self.output or self._reading.done(), within_s=60)
        assert text in self.output, f"it ended without {text!r}:\n{self.output}"

    async def end(self) -> int:
        """Wait for its end; returns the exit code."""
        code = await self.process.wait()
        await self._reading
        return code

    def press_ctrl_c(self) -> None:
        """A terminal signals the whole group in its foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def children(self, *, command: str = "") -> list[psutil.Process]:
        """Our own child processes, PostgreSQL apart; of one command if named."""
        wanted = {*_OURS, command} - {""}
        ours = psutil.Process(self.process.pid).children()
        return [child for child in ours if wanted <= _words(child)]

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(4096):
            self.output += chunk.decode()


def _words(process: psutil.Process) -> set[str]:
    try:
        return set(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return set()


def without_settings() -> dict[str, str]:
    """The environment without what is set for Windlass."""
    return {name: each for name, each in os.environ.items() if not name.startswith(_SETTINGS)}


@asynccontextmanager
async def windlass(*arguments: str, **settings: str) -> AsyncIterator[Windlass]:
    """Start a command in a process group of its own; nothing of it is left in the end.

    Args:
        settings: environment variables; those of the caller's that are settings are left out.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "internal.bootstrap.cli", *arguments),
        env=without_settings() | settings,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    command = Windlass(process)
    try:
        yield command
    finally:
        kill_group(process.pid)
        await command.end()


async def refusal(*arguments: str, **settings: str) -> str:
    """What a command says that must refuse in one line, and show no secret."""
    async with windlass(*arguments, **settings) as command:
        assert await command.end() != 0
    lines = [told for line in command.output.splitlines() if (told := refused(line))]
    assert len(lines) == 1, command.output
    assert "Traceback" not in command.output
    assert "hunter2" not in command.output
    return lines[0]


def refused(line: str) -> str | None:
    """A refusal as on a terminal, be it written as JSON."""
    if line.startswith("windlass: "):
        return line
    if not line.startswith("{"):
        return None
    told = json.loads(line)
    return f"windlass: {told['event']}" if told["logger"] == "windlass" else None


def kill_group(pid: int) -> None:
    """kill -9 of whatever is left of a process group, and of what its leader supervises."""
    with suppress(psutil.NoSuchProcess):
        supervised = [each for each in psutil.Process(pid).children() if _words(each) >= _OURS]
        for each in supervised:
            os.killpg(each.pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, be it not yet collected by whoever inherited it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill_postgres(data_dir: Path) -> None:
    for process in processes(data_dir / "postgres"):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile
            process.kill()


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
