"""Threads for sync handlers, which may hang."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from mmap import mmap
from typing import Any

from internal.services.worker.context import Context
from internal.services.worker.running import Running
from internal.services.worker.supervision import Marks


class NoThreadError(RuntimeError):
    """The process cannot start a thread: it has too many, or too little memory."""


def marked(
    function: Callable[..., Any], payload: Any, running: Running, marks: bytearray | mmap
) -> Any:
    """Call a sync handler in the thread that this runs in, once the supervisor can know it."""
    mark(running, marks)
    return function(payload, Context(running))


def mark(running: Running, marks: bytearray | mmap) -> None:
    """Let the supervisor know that the thread that this runs in is an attempt's."""
    running.thread_id = threading.get_native_id()
    marks[Marks.IN_THREAD] = Marks.in_thread(running.job_id, running.thread_id)


def call_in_thread(function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
    """Call a function in a thread of its own.

    Raises:
        NoThreadError: when the process cannot start one.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def call() -> None:
        result, error = outcome_of(function, *arguments)
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, error)

    start_thread(call)
    return future


def start_thread(call: Callable[[], None]) -> None:
    """Start a thread of its own for a call.

    A daemon thread, not a pool: a pool's threads are joined when the process exits, and one that
    hangs would keep it from ending. Starting one takes about 50 microseconds.

    Raises:
        NoThreadError: when the process cannot start one.
    """
    thread = threading.Thread(target=call, name="handler", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise NoThreadError(str(error)) from error


def outcome_of(function: Callable[..., Any], *arguments: Any) -> tuple[Any, BaseException | None]:
    """What a call returns, or raises, as a future takes it."""
    try:
        return function(*arguments), None
    except StopIteration as error:
        # A future takes none; what a coroutine raises becomes a RuntimeError as well.
        failure = RuntimeError("the handler raised StopIteration")
        failure.__cause__ = error
        return None, failure
    except BaseException as error:  # noqa: BLE001 - carried over to who awaits it
        return None, error
