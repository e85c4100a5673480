from __future__ import annotations

from collections import deque
from collections.abc import Callable
from mmap import mmap
from typing import Final

from internal.services.worker.buffer import Buffer
from internal.services.worker.pace import Pace
from internal.services.worker.running import Identity, Running
from internal.services.worker.supervision import Marks

# Attempts that took so long are remembered for a while after their end.
LONG_S: Final = 0.1
REMEMBERED: Final = 20


class Slots:
    """All that the process holds, under its current name and those it gave up.

    `freed` is called whenever a slot came free.
    """

    def __init__(self, size: int, reserve: float, *, is_alone: bool = False) -> None:
        """Have them free.

        Args:
            reserve: the part of the slots for users who run less than their fair share.
            is_alone: whether this is an isolated worker (domain/blame.py): no jobs wait here.
        """
        self.size = size
        self.is_alone = is_alone
        self.buffer = Buffer(size, reserve)
        self.pace = Pace(size)
        self.current: Identity | None = None
        self.retiring: list[Identity] = []
        self.running: set[Running] = set()
        self.hung: set[Running] = set()
        # No job may start any more: the process is to be replaced.
        self.is_closed = False
        self.marks: bytearray | mmap = bytearray(Marks.SIZE)
        self._long: deque[Running] = deque(maxlen=REMEMBERED)
        self.freed: Callable[[], None] = lambda: None

    @property
    def identities(self) -> list[Identity]:
        """The current name, if there is one, and those that are given up but still hold jobs."""
        return [*([self.current] if self.current else []), *self.retiring]

    @property
    def recent(self) -> list[Running]:
        """What runs now, and the long attempts that have just ended."""
        return [*self._long, *self.running]

    @property
    def free(self) -> int:
        """How many more jobs may start; work that outlived its attempt keeps its slot."""
        return 0 if self.is_closed else self.size - len(self.hung) - len(self.running)

    def release(self, running: Running) -> None:
        """An attempt has ended, and so has its work: its slot is free."""
        self._leave(running)
        self.freed()

    def hang(self, running: Running) -> None:
        """An attempt has ended, and its work goes on."""
        self._leave(running)
        self.hung.add(running)
        running.identity.hung.add(running)

    def recover(self, running: Running) -> None:
        """The work of an attempt that hung has ended: its slot is free."""
        self.hung.discard(running)
        running.identity.hung.discard(running)
        self.freed()

    def _leave(self, running: Running) -> None:
        self.running.discard(running)
        self.buffer.ended(running)
        self._note_end(running)
        identity = running.identity
        identity.held.pop(running.job.id, None)
        if identity is not self.current:
            identity.ending.add(running.job.id)

    def _note_end(self, running: Running) -> None:
        if not running.started:
            return
        self.pace.note(running.started, running.ended)
        if running.ended - running.started >= LONG_S:
            self._long.append(running)
