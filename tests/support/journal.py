"""A handler that writes down each start and end where no crash of Windlass or PostgreSQL reaches.

Clocks of all processes are the system's monotonic one, so their lines can be compared.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from windlass import JobContext, Retry, handler

PATH: Final = "WINDLASS_CHAOS_JOURNAL"
_LINE: Final = re.compile(r"(start|end) ([0-9a-f-]{36}) ([0-9]+) ([0-9]+) ([0-9]+)\n")


class Work(msgspec.Struct):
    """Sleep so long; the first attempt fails after that, if it is to."""

    sleep_ms: int
    fails_first: bool = False


@handler("journaled", max_attempts=100)
async def journaled(work: Work, ctx: JobContext) -> dict[str, Any]:
    """Writes a line at its start and one at its end."""
    _write("start", ctx)
    await asyncio.sleep(work.sleep_ms / 1000)
    _write("end", ctx)
    if work.fails_first and ctx.attempt == 1:
        raise Retry("the first attempt", after="100ms")
    return {"attempt": ctx.attempt}


def _write(what: str, ctx: JobContext) -> None:
    line = f"{what} {ctx.job_id} {ctx.attempt} {time.monotonic_ns()} {os.getpid()}\n"
    file = os.open(os.environ[PATH], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())  # one short write: lines of several processes do not mix
    finally:
        os.close(file)


class Journal(msgspec.Struct, frozen=True):
    """When each attempt's handler started and ended, by job and number; twice would be two.

    `processes` are those that they ran in.
    """

    starts: dict[tuple[UUID, int], list[int]]
    ends: dict[tuple[UUID, int], list[int]]
    processes: dict[tuple[UUID, int], int]


def read_journal(path: Path) -> Journal:
    """What the handlers wrote so far.

    A kill can cut a write where a page of the file ends; what is left of that line is passed over,
    as its process did nothing more.
    """
    journal = Journal({}, {}, {})
    for what, job_id, number, at, process in _LINE.findall(path.read_text()):
        times = journal.starts if what == "start" else journal.ends
        times.setdefault((UUID(job_id), int(number)), []).append(int(at))
        journal.processes[UUID(job_id), int(number)] = int(process)
    return journal
