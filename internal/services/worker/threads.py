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


def marked(
    function: Callable[..., Any], payload: Any, running: Running, marks: bytearray | mmap
) -> Any:
    """Call a sync handler in the thread that this runs in, once the supervisor can know it."""
    running.thread_id = threading.get_native_id()
    marks[Marks.IN_THREAD] = Marks.in_thread(running.job_id, running.thread_id)
    return function(payload, Context(running))


def call_in_thread(function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
    """Call a function in a thread of its own.

    A daemon thread, not a pool: a pool's threads are joined when the process exits, and one that
    hangs would keep it from ending. Starting one takes about 50 microseconds.
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
        result: Any = None
        failure: BaseException | None = None
        try:
            result = function(*arguments)
        except StopIteration as error:
            # A future takes none; what a coroutine raises becomes a RuntimeError as well.
            failure = RuntimeError("the handler raised StopIteration")
            failure.__cause__ = error
        except BaseException as error:  # noqa: BLE001 - carried over to the awaiting task
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=call, name="handler", daemon=True).start()
    return future
