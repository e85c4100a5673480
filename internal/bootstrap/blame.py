"""Which attempt holds the interpreter of a process that gives no sign of life."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from internal.services.worker.supervision import HandlerCode, RunningAttempt

NOTHING_STARTED: Final = UUID(int=0)


class Evidence(msgspec.Struct, frozen=True):
    """What was seen of the process.

    `stacks` is what faulthandler wrote, with the main thread last. `busy` are the native ids of the
    threads that used the processor meanwhile; `attempts` ran at the last sign of life, and the
    handler of `last_started` began last.
    """

    pid: int
    stacks: str
    busy: Collection[int]
    attempts: Sequence[RunningAttempt]
    handlers: Sequence[HandlerCode]
    last_started: UUID


def blamed(evidence: Evidence) -> list[UUID]:
    """The attempt that certainly holds the interpreter; none where two may be it."""
    if len(evidence.busy) != 1:
        return []
    (thread,) = evidence.busy
    if thread != evidence.pid:
        return [each.job_id for each in evidence.attempts if each.thread == thread]
    types = _types_on_stack(evidence)
    candidates = {each.job_id for each in evidence.attempts if each.type in types}
    if evidence.last_started not in {NOTHING_STARTED, *(a.job_id for a in evidence.attempts)}:
        candidates.add(evidence.last_started)
    return list(candidates) if types and len(candidates) == 1 else []


def _types_on_stack(evidence: Evidence) -> set[str]:
    main_thread = evidence.stacks.rpartition("most recent call first")[2]
    return {
        each.type
        for each in evidence.handlers
        if any(
            f'"{each.file}"' in line and line.endswith(f" in {each.name}")
            for line in main_thread.splitlines()
        )
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
