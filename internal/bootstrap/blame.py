"""Which attempt holds the interpreter of a process that gives no sign of life."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from internal.services.worker.supervision import HandlerCode, Marks, RunningAttempt

NOTHING_STARTED: Final = UUID(int=0)


class Evidence(msgspec.Struct, frozen=True):
    """What was seen of the process.

    `stacks` is what faulthandler wrote, with the main thread last. `busy` are the native ids of the
    threads that used the processor meanwhile; `attempts` ran at the last sign of life, and `marks`
    tell of the handlers that began last.
    """

    pid: int
    stacks: str
    busy: Collection[int]
    attempts: Sequence[RunningAttempt]
    handlers: Sequence[HandlerCode]
    marks: bytes


def blamed(evidence: Evidence) -> list[UUID]:
    """The attempt that certainly holds the interpreter; none where two may be it."""
    if len(evidence.busy) != 1:
        return []
    (thread,) = evidence.busy
    if thread != evidence.pid:
        return _in_thread(evidence, thread)
    started = UUID(bytes=evidence.marks[Marks.STARTED])
    main_thread = evidence.stacks.rpartition("most recent call first")[2]
    on_loop = [each for each in evidence.handlers if each.on_loop]
    types = types_on(main_thread, on_loop)
    candidates = {each.job_id for each in evidence.attempts if each.type in types}
    if started not in {NOTHING_STARTED, *(each.job_id for each in evidence.attempts)}:
        candidates.add(started)
    return list(candidates) if types and len(candidates) == 1 else []


def _in_thread(evidence: Evidence, thread: int) -> list[UUID]:
    mark = evidence.marks[Marks.IN_THREAD]
    if int.from_bytes(mark[16:], "little") == thread:
        return [UUID(bytes=mark[:16])]
    return [each.job_id for each in evidence.attempts if each.thread == thread]


def types_on(stack: str, handlers: Iterable[HandlerCode]) -> set[str]:
    """The types whose handlers a stack of faulthandler's shows."""
    lines = stack.splitlines()
    return {
        each.type
        for each in handlers
        if any(f'"{each.file}"' in line and line.endswith(f" in {each.name}") for line in lines)
    }


def processor_time(pid: int) -> dict[int, int]:
    """What each thread has used, in ticks; empty where there is no /proc."""
    times = {}
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        fields = _fields(folder / "stat")
        if fields:
            times[int(folder.name)] = int(fields[11]) + int(fields[12])
    return times


def busy_threads(before: Mapping[int, int], after: Mapping[int, int]) -> list[int]:
    """Those that had most of the processor in between."""
    used = {thread: ticks - before.get(thread, ticks) for thread, ticks in after.items()}
    return [
        thread for thread, ticks in used.items() if ticks > 1 and ticks > sum(used.values()) / 2
    ]


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process."""
    return (_fields(Path(f"/proc/{pid}/stat")) or [""])[0] in {"T", "t"}


def _fields(path: Path) -> list[str]:
    """From the state on: the name before it may hold spaces and parentheses."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
