"""Group commit: what many ask for at the same moment is written by one statement."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Group = list[tuple[Item, asyncio.Future[Outcome]]]
Write = Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Exception]]]


class Groups(Generic[Item, Outcome]):
    """Gathers items while earlier ones are being written; one that finds nobody goes at once.

    There is no timer: a group is what came while the one before was under way, up to half of those
    who are about. What a write raises is told to its whole group; what it returns in an item's
    place, to that item alone.
    """

    def __init__(self, write: Write[Item, Outcome], *, most: int) -> None:
        self._write = write
        self._most = most
        # How many the last group had: their callers may be back soon.
        self._last_size = 0
        self._waiting: deque[tuple[Item, asyncio.Future[Outcome]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Outcome:
        """Return when the item's group is written; a cancel leaves the others alone."""
        written: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writing is None:
            # A task of its own: no caller's cancel may end what it does for the others.
            self._writing = asyncio.create_task(self._write_all(), name="group commit")
        return await written

    async def _write_all(self) -> None:
        try:
            while group := self._next():
                self._last_size = len(group)
                await self._write_one(group)
        finally:
            # At once and not when the task is seen to be done: whoever comes between would wait.
            self._writing = None
            self._last_size = 0

    async def _write_one(self, group: Group[Item, Outcome]) -> None:
        try:
            outcomes = await self._write([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - told to those whom it concerns
            outcomes = [error] * len(group)
        for (_, written), outcome in zip(group, outcomes, strict=True):
            if written.done():
                continue  # canceled meanwhile
            if isinstance(outcome, Exception):
                written.set_exception(outcome)
            else:
                written.set_result(outcome)

    def _half(self) -> int:
        """So many that one half is written while the other is answered and asks again.

        Else a large group and a small one take turns: the database waits for the callers of the
        large one, and they for the database.
        """
        waiting = len(self._waiting)
        return (waiting + self._last_size + 1) // 2 if self._last_size else waiting

    def _next(self) -> Group[Item, Outcome]:
        group: Group[Item, Outcome] = []
        most = min(self._most, self._half())
        while self._waiting and len(group) < most:
            item, written = self._waiting.popleft()
            if not written.done():  # else its caller was canceled before it was sent
                group.append((item, written))
        return group
