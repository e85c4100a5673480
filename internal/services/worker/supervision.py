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


class Marks:
    """What lies where in the shared memory.

    Written when a handler is called, since it may take the interpreter at once and keep it.
    """

    STARTED: Final = slice(0, 16)  # the id of the job whose handler began last
    IN_THREAD: Final = slice(16, 40)  # likewise in a thread, and that thread's native id
    SIZE: Final = 40

    @staticmethod
    def in_thread(job_id: UUID, thread: int) -> bytes:
        """What to write at IN_THREAD."""
        return job_id.bytes + thread.to_bytes(8, "little")


class HandlerCode(msgspec.Struct, frozen=True):
    """By what a stack shows the handler of a type; `on_loop`: it is not called in a thread."""

    type: str
    file: str
    name: str
    on_loop: bool


class Supervision(Protocol):
    """The supervisor's end, as the worker sees it; all of it may be called from any thread."""

    @property
    def marks(self) -> bytearray | mmap:
        """Memory that the supervisor reads when this process does not answer; see `Marks`."""

    @property
    def stop_asked(self) -> bool:
        """Whether the supervisor asked for the stop: a SIGTERM without this came from elsewhere."""

    def introduce(self, handlers: Sequence[HandlerCode]) -> None:
        """Say once which code the handlers are."""

    def beat(self, worker_ids: Sequence[str], attempts: Sequence[RunningAttempt]) -> None:
        """Give a sign of life; never waits, and is lost while the supervisor does not read."""

    def ask_for_isolated_worker(self) -> None:
        """Have a worker started that runs one job at a time in a process of its own."""

    def replace_process(self) -> NoReturn:
        """End this process at once; the supervisor starts another one."""


class Unsupervised:
    """Fits Supervision where no supervisor is there, as in a test."""

    stop_asked = True

    def __init__(self) -> None:
        self.marks = bytearray(Marks.SIZE)

    def introduce(self, handlers: Sequence[HandlerCode]) -> None: ...

    def beat(self, worker_ids: Sequence[str], attempts: Sequence[RunningAttempt]) -> None: ...

    def ask_for_isolated_worker(self) -> None: ...

    def replace_process(self) -> NoReturn:
        raise SystemExit("the event loop is blocked")
