"""Tasks that live for as long as their process works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, NoReturn

_log = logging.getLogger(__name__)


class EndedError(Exception):
    """A task of the process was canceled, or returned, while it was needed."""


class Background:
    """Tasks in a group; one that ends before its time fails the group.

    A group takes a task that was canceled for one that is done, and a handler can cancel any.
    """

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._needed: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run it in a task of that name."""
        task = self._group.create_task(work, name=name)
        self._needed.add(task)
        task.add_done_callback(self._note_end)
        return task

    def release(self, task: asyncio.Task[None]) -> None:
        """It may end from now on."""
        self._needed.discard(task)

    def cancel(self) -> None:
        """End all that is still needed."""
        tasks, self._needed = self._needed, set()
        for task in tasks:
            task.cancel()

    def _note_end(self, task: asyncio.Task[None]) -> None:
        if task not in self._needed:
            return
        self._needed.discard(task)
        if not task.cancelled() and task.exception() is not None:
            return  # the group knows
        failing = _fail(why := f"the task {task.get_name()} ended while it was needed")
        try:
            self._group.create_task(failing)
        except RuntimeError:  # the group fails already, and has canceled this task too
            failing.close()
        else:
            _log.error("%s: this process ends", why)  # its group may be in another one


async def _fail(why: str) -> NoReturn:
    raise EndedError(why)
