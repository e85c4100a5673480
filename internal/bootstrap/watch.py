"""Sees from outside whether a process still lives."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from mmap import mmap
from socket import socket
from typing import Any, Final
from uuid import UUID

import msgspec

from internal.bootstrap.blame import (
    NOTHING_STARTED,
    Evidence,
    blamed,
    busy_threads,
    is_stopped,
    processor_time,
    types_on,
)
from internal.bootstrap.link import STACKS_SIGNAL
from internal.bootstrap.messages import (
    LONGEST_LINE,
    Introduction,
    IsolatedWanted,
    Message,
    Sign,
)
from internal.services.worker.supervision import Marks

LOOK_EVERY_S: Final = 0.25
# Of the lease TTL: its end is recorded, and it is replaced, before its leases run out.
# The last beat may be a second older than the silence; to look and to wait for stacks takes time.
SILENCE: Final = 0.75
SPARE_S: Final = 2.0
SHORTEST_SILENCE_S: Final = 2.0
STACKS_S: Final = 0.5
MOST_STACKS: Final = 64 * 1024
NAMED: Final = 5

_log = logging.getLogger(__name__)


class Verdict(msgspec.Struct, frozen=True):
    """Why a process has to end; `known` is for its log line."""

    reason: str
    blamed: list[UUID]
    known: dict[str, Any]


class Watch:
    """One process from its first sign of life to its end."""

    def __init__(
        self, pid: int, end: socket, stacks: int, marks: mmap, want_isolated: Callable[[], None]
    ) -> None:
        """Takes over `end`, our end of its lifeline, and `stacks`, what faulthandler writes."""
        self._pid = pid
        self._end = end
        self._stacks_pipe = stacks
        self._marks = marks
        self._want_isolated = want_isolated
        self._stacks = bytearray()
        self._handlers = Introduction([])
        self.last = Sign()
        self._heard_at: float | None = None

    @property
    def heard_at(self) -> float | None:
        """The loop's time of its last sign of life; None before the first."""
        return self._heard_at

    @property
    def began_last(self) -> list[UUID]:
        """The job whose handler was called last, if any was."""
        started = UUID(bytes=self._marks[Marks.STARTED])
        return [] if started == NOTHING_STARTED else [started]

    @property
    def stacks(self) -> str:
        """What faulthandler wrote so far."""
        return self._stacks.decode(errors="replace")

    def close(self) -> None:
        """After its end."""
        asyncio.get_running_loop().remove_reader(self._stacks_pipe)
        os.close(self._stacks_pipe)
        self._end.close()
        self._marks.close()

    async def read(self) -> None:
        """Live until the process closes its end, or until canceled."""
        loop = asyncio.get_running_loop()
        os.set_blocking(self._stacks_pipe, False)
        loop.add_reader(self._stacks_pipe, self._read_stacks)
        self._end.setblocking(False)  # noqa: FBT003 - as it is called
        decode = msgspec.json.Decoder(Message).decode
        rest = b""
        while chunk := await loop.sock_recv(self._end, LONGEST_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._hear(decode(line))

    def _hear(self, message: Message) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        match message:
            case Introduction():
                self._handlers = message
            case Sign():
                self.last = message
            case IsolatedWanted():
                self._want_isolated()

    def _read_stacks(self) -> None:
        with suppress(OSError):
            chunk = os.read(self._stacks_pipe, MOST_STACKS)
            if not chunk:
                asyncio.get_running_loop().remove_reader(self._stacks_pipe)
            self._stacks += chunk
            del self._stacks[:-MOST_STACKS]

    async def until_silent(self, lease_ttl: timedelta) -> Verdict:
        """Wait until it gives no sign of life for too long; why, as far as it can be seen."""
        clock = asyncio.get_running_loop().time
        longest_s = longest_silence_s(lease_ttl)
        looked = clock()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = clock()
            if self._heard_at is not None:
                # What this process missed while it stood still itself is no silence.
                self._heard_at += max(0.0, now - looked - 2 * LOOK_EVERY_S)
                if now - self._heard_at > longest_s:
                    verdict = await self._judge(now - self._heard_at)
                    if verdict is not None:
                        return verdict
            looked = clock()

    async def _judge(self, silent_s: float) -> Verdict | None:
        """None when it gives a sign of life after all."""
        heard_at = self._heard_at
        before = processor_time(self._pid)
        self._stacks.clear()
        with suppress(ProcessLookupError):
            os.kill(self._pid, STACKS_SIGNAL)
        await asyncio.sleep(STACKS_S)
        if self._heard_at != heard_at:
            return None
        silence = f"no sign of life for {silent_s + STACKS_S:.1f} s"
        if not self._stacks:
            how = "a signal stopped it" if is_stopped(self._pid) else "it stands still"
            return Verdict(f"{silence}: {how}", [], {})
        last = self.last
        evidence = Evidence(
            self._pid,
            self.stacks,
            busy_threads(before, processor_time(self._pid)),
            last.attempts,
            self._handlers.handlers,
            bytes(self._marks[:]),
        )
        guilty = blamed(evidence)
        held = "a job holds its interpreter (GIL)" if guilty else "its interpreter is held (GIL)"
        return Verdict(f"{silence}: {held}", guilty, self._known(guilty))

    def _known(self, guilty: list[UUID]) -> dict[str, Any]:
        ran = [each for each in self.last.attempts if each.job_id in guilty or not guilty][:NAMED]
        types = {each.type for each in ran} or types_on(self.stacks, self._handlers.handlers)
        ids = guilty or [each.job_id for each in ran]
        return {
            "types": sorted(types),
            "job_ids": [str(each) for each in ids],
            "stack": self.stacks,
        }


def longest_silence_s(lease_ttl: timedelta) -> float:
    """How long a process may give no sign of life."""
    ttl_s = lease_ttl.total_seconds()
    return max(SHORTEST_SILENCE_S, min(SILENCE * ttl_s, ttl_s - SPARE_S))
