"""How a process of ours runs and ends: its loop, its signals, its exit codes, its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import IntEnum
from typing import Final

import uvloop

from internal.bootstrap.settings import Settings

# What an end may take beyond SHUTDOWN_GRACE: the last writes, the closing of pools.
LAST_WRITES: Final = timedelta(seconds=15)
# A terminal sends these to its whole group; of a supervised process SIGTERM is what asks to stop.
TERMINAL_SIGNALS: Final = (signal.SIGINT, signal.SIGHUP)

Main = Callable[[Settings, asyncio.Event], Awaitable[int]]


class ExitCode(IntEnum):
    """What the supervisor reads from an end."""

    OK = 0
    FAILED = 1
    RECYCLE = 75  # start me again at once
    UNUSABLE = 78  # no start will succeed before the operator has changed something


def run_process(main: Main, settings: Settings, *, supervised: bool) -> int:
    """Run `main` until it returns its exit code; a signal sets the event it is given."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(main, settings, supervised=supervised))


async def _run(main: Main, settings: Settings, *, supervised: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if supervised:
        # Ignored, as handlers' own child processes inherit it: they may finish, too.
        for number in TERMINAL_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL_SIGNALS)
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    else:
        on_stop_signals(loop, lambda: os._exit(ExitCode.FAILED) if stop.is_set() else stop.set())
    return await main(settings, stop)


def on_stop_signals(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call on Ctrl-C, SIGTERM, and SIGHUP unless `nohup` has it ignored."""
    loop.add_signal_handler(signal.SIGINT, call)
    loop.add_signal_handler(signal.SIGTERM, call)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, call)


def follow_parent(patience: timedelta) -> None:
    """End when standard input does: the supervisor holds its other end, however it dies.

    A thread sees it even while the event loop is stuck.
    """

    def follow() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(patience.total_seconds())
        os._exit(ExitCode.FAILED)

    threading.Thread(target=follow, name="parent", daemon=True).start()
