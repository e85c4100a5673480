"""What a process that a handler forks must not share with us."""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import weakref
from collections.abc import Iterable
from typing import Any, Final

import uvloop

from internal.bootstrap.link import STACKS_SIGNAL
from internal.services.worker.loop_threads import LoopThreads

OURS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Loop(uvloop.Loop):
    """Knows the sockets that it connected, and keeps its default executor."""

    def __init__(self) -> None:
        super().__init__()
        self._connected: weakref.WeakSet[Any] = weakref.WeakSet()

    async def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        """As ever, and the socket is noted."""
        made = await super().create_connection(*args, **kwargs)
        self._connected.add(made[0])
        return made

    async def create_unix_connection(self, *args: Any, **kwargs: Any) -> Any:
        """As ever, and the socket is noted."""
        made = await super().create_unix_connection(*args, **kwargs)
        self._connected.add(made[0])
        return made

    def set_default_executor(self, executor: Any) -> None:
        """Take ours only: a handler's own would be that of all users, and no attempt's."""
        if isinstance(executor, LoopThreads):
            super().set_default_executor(executor)

    async def shutdown_default_executor(self, *_: object, **__: object) -> None:
        """Do nothing: a handler that calls this would end it for all users."""

    def descriptors(self) -> list[int]:
        """The sockets that are open."""
        found = (each.get_extra_info("socket") for each in list(self._connected))
        return [each.fileno() for each in found if each is not None and each.fileno() >= 0]


class ForkGuard:
    """Undoes in a forked process, at its start, what would tie it to this one.

    Signals have their default effect there, no wake-up for a signal goes to our event loop, and our
    sockets and pipes lead to nowhere.
    """

    def __init__(self, descriptors: Iterable[int]) -> None:
        """`descriptors`: pipes of ours; the sockets of the loops come by themselves."""
        self._descriptors = tuple(descriptors)
        self._loops: list[tuple[int, Loop]] = []
        self._mask = threading.local()

    def begin(self) -> None:
        """From now on; for as long as this process lives."""
        os.register_at_fork(
            before=self._hold_signals, after_in_parent=self._let_signals, after_in_child=self._part
        )

    def new_loop(self) -> Loop:
        """An event loop for the calling thread."""
        loop = Loop()
        self._loops.append((threading.get_ident(), loop))
        return loop

    def _hold_signals(self) -> None:
        """One that comes for the child before it has parted would be taken for ours."""
        self._mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)

    def _let_signals(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask.before)

    def _part(self) -> None:
        signal.set_wakeup_fd(-1)
        for number in OURS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        faulthandler.unregister(STACKS_SIGNAL)
        faulthandler.disable()
        # Led to nowhere rather than closed: a number that is free is soon another file's.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._ours():
            os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)
        for thread, loop in self._loops:
            if thread == threading.get_ident():
                # A handler on the loop has forked, and may return to it: one worker is enough.
                loop.call_soon(os._exit, 0)

    def _ours(self) -> list[int]:
        return [
            *self._descriptors,
            *(each for _, loop in self._loops for each in loop.descriptors()),
        ]
