"""How a process of ours runs and ends: its loop, its signals, its parent."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final, NoReturn

import msgspec

from internal.adapters.telemetry import PrintedText, flush_logs
from internal.bootstrap.errors import StartError
from internal.bootstrap.exits import ExitCode
from internal.bootstrap.forks import ForkGuard
from internal.bootstrap.link import Link, take_link
from internal.bootstrap.messages import STOP_ASKED
from internal.bootstrap.settings import Settings
from internal.services.worker.supervision import Supervision, Unsupervised

# What an end may take beyond SHUTDOWN_GRACE: the last writes, the closing of pools.
LAST_WRITES: Final = timedelta(seconds=15)
_STDOUT: Final = 1
_STDERR: Final = 2
# Of a supervised process SIGTERM is what asks to stop.
_TERMINAL_SIGNALS: Final = (signal.SIGINT, signal.SIGHUP)


class Process(msgspec.Struct, frozen=True):
    """What `main` has of the process that it runs in.

    `new_loop` is for its other threads. `is_alone`: it is an isolated worker, with one job at once.
    """

    stop: asyncio.Event
    supervision: Supervision
    new_loop: Callable[[], asyncio.AbstractEventLoop]
    is_alone: bool = False


Main = Callable[[Settings, Process], Awaitable[int]]

_log = logging.getLogger(__name__)


def run_process(
    main: Main, settings: Settings, link: Link | None, *, is_alone: bool = False
) -> NoReturn:
    """Run `main` until it returns its exit code, and end with it; a signal sets its event.

    What handlers left behind, tasks and threads, is not waited for: it may never end.
    """
    guard = ForkGuard([] if link is None else link.descriptors)
    loop = guard.new_loop()
    asyncio.set_event_loop(loop)
    guard.begin()
    sys.stdout, sys.stderr = PrintedText(_STDOUT), PrintedText(_STDERR)
    process = Process(asyncio.Event(), link or Unsupervised(), guard.new_loop, is_alone)
    task = loop.create_task(_run(main, settings, process, link))
    try:
        code = _until_done(loop, task)
    except StartError:
        raise
    except BaseException:  # noqa: BLE001 - logged as one line, like all else
        _log.exception("this process ends: a part of it failed")
        code = ExitCode.FAILED
    end_now(code)


def _until_done(loop: asyncio.AbstractEventLoop, task: asyncio.Task[int]) -> int:
    """Run the loop; an exit that a handler's task or callback asks for only interrupts it."""
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            _log.warning(
                "%r came out of a task or a callback that a handler left behind: it is ignored",
                error,
                exc_info=error,
            )


def end_now(code: int) -> NoReturn:
    """End without waiting for threads, tasks or readers of the log."""
    flush_logs()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, PrintedText):  # a handler may have put one of its own there
            stream.drain()
    os._exit(code)


async def _run(main: Main, settings: Settings, process: Process, link: Link | None) -> int:
    stop = process.stop
    loop = asyncio.get_running_loop()
    if link is not None:
        # Ignored, as handlers' own child processes inherit it: they may finish, too.
        for number in _TERMINAL_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        link.when_stop_is_asked(partial(loop.call_soon_threadsafe, stop.set))
    else:
        on_stop_signals(loop, lambda: os._exit(ExitCode.FAILED) if stop.is_set() else stop.set())
    return await main(settings, process)


def on_stop_signals(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call on Ctrl-C, SIGTERM, and SIGHUP unless `nohup` has it ignored."""
    loop.add_signal_handler(signal.SIGINT, call)
    loop.add_signal_handler(signal.SIGTERM, call)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, call)


def follow_parent(patience: timedelta, watched_by: str | None = None) -> Link:
    """End when standard input does: the supervisor holds its other end, however it dies.

    A thread sees it even while the event loop is stuck. Standard input is empty afterwards.
    """
    link = take_link(watched_by)

    def follow() -> None:
        while said := os.read(link.descriptor, 1):
            if said == STOP_ASKED and not link.stop_asked:
                link.ask_to_stop()
                threading.Thread(target=_end_after, args=(patience,), daemon=True).start()
        link.ask_to_stop()  # as good as: no job of ours is the reason
        os.kill(os.getpid(), signal.SIGTERM)  # ends a process that has no loop yet
        _end_after(patience)

    threading.Thread(target=follow, name="parent", daemon=True).start()
    return link


def _end_after(patience: timedelta) -> NoReturn:
    time.sleep(patience.total_seconds())
    flush_logs()
    os._exit(ExitCode.FAILED)
