"""What a worker says to the process that watches it."""

from __future__ import annotations

from collections.abc import Sequence
from mmap import mmap
from typing import Final, NoReturn, Protocol
from uuid import UUID

import msgspec


class RunningAttempt(msgspec.Struct, frozen=True):
    """An attempt as a supervisor needs it to find out which one holds the interpreter.

    `thread` is the native id of its sync handler's thread, 0 for a handler on the event loop.
    """

    job_id: UUID
    type: str
    thread: int = 0


class HandlerCode(msgspec.Struct, frozen=True):
    """Where a stack shows that the handler of a type runs on the event loop."""

    type: str
    file: str
    name: str


class Supervision(Protocol):
    """The supervisor's end, as the worker sees it; all of it may be called from any thread."""

    @property
    def last_started(self) -> bytearray | mmap:
        """Sixteen bytes for the id of the job whose handler was started last."""

    @property
    def stop_asked(self) -> bool:
        """Whether the supervisor asked for the stop: a SIGTERM without this came from elsewhere."""

    def introduce(self, handlers: Sequence[HandlerCode]) -> None:
        """Say once which code runs on the event loop."""

    def beat(self, worker_ids: Sequence[str], attempts: Sequence[RunningAttempt]) -> None:
        """Give a sign of life; never waits, and is lost while the supervisor does not read."""

    def ask_for_isolated_worker(self) -> None:
        """Have a worker started that runs one job at a time in a process of its own."""

    def replace_process(self) -> NoReturn:
        """End this process at once; the supervisor starts another one."""


class Unsupervised:
    """Fits Supervision where no supervisor is there, as in a test."""

    stop_asked: Final = True

    def __init__(self) -> None:
        self.last_started = bytearray(16)

    def introduce(self, handlers: Sequence[HandlerCode]) -> None: ...

    def beat(self, worker_ids: Sequence[str], attempts: Sequence[RunningAttempt]) -> None: ...

    def ask_for_isolated_worker(self) -> None: ...

    def replace_process(self) -> NoReturn:
        raise SystemExit("the event loop is blocked")
