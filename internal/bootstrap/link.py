"""The supervised process's end of what ties it to its supervisor."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from mmap import mmap
from typing import Final, NoReturn

import msgspec

from internal.adapters.telemetry import flush_logs
from internal.bootstrap.exits import ExitCode
from internal.bootstrap.messages import Introduction, IsolatedWanted, Message, Sign
from internal.services.worker.supervision import HandlerCode, Marks, RunningAttempt

# Makes the process write the stack of each thread, without the interpreter's lock.
STACKS_SIGNAL: Final = signal.SIGUSR2


class Link:
    """Fits the port Supervision."""

    def __init__(self, descriptor: int, marks: mmap | None = None) -> None:
        """Take over both; `marks` is memory that the supervisor reads when nothing else answers."""
        self.descriptor = descriptor
        self.stacks: int | None = None
        self.stop_asked = False
        self.marks: bytearray | mmap = bytearray(Marks.SIZE) if marks is None else marks
        # A benchmark or a test holds the other end of a pipe, which takes no words.
        is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        self._socket = socket.socket(fileno=descriptor) if is_socket else None
        self._on_stop: Callable[[], object] | None = None
        self._encode = msgspec.json.Encoder().encode
        self._rest = b""
        self._lock = threading.Lock()

    @property
    def descriptors(self) -> list[int]:
        """What a forked process has no business with."""
        return [self.descriptor, *([] if self.stacks is None else [self.stacks])]

    def when_stop_is_asked(self, call: Callable[[], object]) -> None:
        """Call it then, from any thread; at once when that was before."""
        self._on_stop = call
        if self.stop_asked:
            call()

    def ask_to_stop(self) -> None:
        """Needs no signal: a handler can have those ignored."""
        self.stop_asked = True
        if self._on_stop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._on_stop()

    def introduce(self, handlers: Sequence[HandlerCode]) -> None:
        self._say(Introduction(handlers))

    def beat(self, worker_ids: Sequence[str], attempts: Sequence[RunningAttempt]) -> None:
        self._say(Sign(worker_ids, attempts))

    def ask_for_isolated_worker(self) -> None:
        self._say(IsolatedWanted())

    def replace_process(self) -> NoReturn:
        flush_logs()
        os._exit(ExitCode.RECYCLE)

    def _say(self, message: Message) -> None:
        """Without waiting: a supervisor that does not read misses something, and reads on later."""
        with self._lock:
            self._rest = self._send(self._rest)
            if not self._rest:
                self._rest = self._send(self._encode(message) + b"\n")

    def _send(self, data: bytes) -> bytes:
        """Write as much as there is room for; the rest."""
        if self._socket is None or not data:
            return b""
        try:
            return data[self._socket.send(data, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return data
        except OSError:  # the supervisor is gone, and this process is about to end
            return b""


def take_link(watched_by: str | None) -> Link:
    """Take the lifeline from standard input, which is empty from now on.

    Args:
        watched_by: two descriptors from the supervisor, like `5,6`: where stacks are written to,
            and the shared memory of `Link.marks`.
    """
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if watched_by is None:
        return Link(lifeline)
    stacks, memory = (int(each) for each in watched_by.split(","))
    for descriptor in (stacks, memory):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - as it is called
    faulthandler.enable(stacks)
    faulthandler.register(STACKS_SIGNAL, stacks)
    link = Link(lifeline, mmap(memory, Marks.SIZE))
    os.close(memory)
    link.stacks = stacks
    return link
