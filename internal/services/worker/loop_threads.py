"""Threads for what async handlers do not want to wait for on the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from mmap import mmap
from typing import Any, Final, TypeVar

from internal.services.worker.running import Running
from internal.services.worker.threads import mark, outcome_of, start_thread

T = TypeVar("T")

# Of one attempt; its further calls wait in line.
AT_ONCE: Final = 32
# Inherited by the tasks that a handler makes.
ATTEMPT: Final[ContextVar[Running | None]] = ContextVar("attempt", default=None)


class _Call:
    """A function to call in a thread, and who awaits its answer."""

    def __init__(self, future: Future[Any], function: Callable[[], Any]) -> None:
        self._future = future
        self._function = function

    def carry_out(self) -> Callable[[], None]:
        """Call it, unless it was canceled; what this returns passes on the answer."""
        if not self._future.set_running_or_notify_cancel():
            return lambda: None
        result, error = outcome_of(self._function)
        if error is None:
            return partial(self._future.set_result, result)
        return partial(self._future.set_exception, error)

    def answer(self) -> None:
        """Call it and pass on the answer."""
        self.carry_out()()


class _Crew:
    """The threads of an attempt, and the calls that wait for one; `ended` is when all are gone."""

    def __init__(self, ended: asyncio.Future[None]) -> None:
        self.ended = ended
        self.threads = 0
        self.waiting: deque[_Call] = deque()


class LoopThreads(ThreadPoolExecutor):
    """The default executor of a worker's event loop, and so what `asyncio.to_thread` uses.

    No pool, in which the calls of one user that hang would keep those of all others waiting: each
    call has a thread of its own, and an attempt works on until its threads have ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, marks: bytearray | mmap) -> None:
        """Start no thread yet: those of the base class are never used."""
        super().__init__()
        self._loop = loop
        self._marks = marks
        self._crews: dict[Running, _Crew] = {}
        self._lock = threading.Lock()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a function called.

        Raises:
            NoThreadError: when the process cannot start one.
        """
        future: Future[T] = Future()
        call = _Call(future, partial(fn, *args, **kwargs))
        running = ATTEMPT.get()
        if running is None:
            start_thread(call.answer)
        else:
            self._put(running, call)
        return future

    def _put(self, running: Running, call: _Call) -> None:
        with self._lock:
            crew = self._crews.get(running) or _Crew(self._loop.create_future())
            if crew.threads == AT_ONCE:
                crew.waiting.append(call)
                return
            start_thread(partial(self._work, running, crew, call))
            crew.threads += 1
            self._crews[running] = crew
            running.thread = crew.ended

    def _work(self, running: Running, crew: _Crew, first: _Call) -> None:
        call: _Call | None = first
        while call is not None:
            mark(running, self._marks)
            answer = call.carry_out()
            # First: code that awaits the last answer must find that no thread works on.
            call = self._next(running, crew)
            answer()

    def _next(self, running: Running, crew: _Crew) -> _Call | None:
        with self._lock:
            if crew.waiting:
                return crew.waiting.popleft()
            crew.threads -= 1
            if not crew.threads:
                del self._crews[running]
                if not self._loop.is_closed():
                    self._loop.call_soon_threadsafe(crew.ended.set_result, None)
        return None
