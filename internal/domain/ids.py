"""Identifiers that Windlass makes itself."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import uuid_utils

# Ids made in a burst, or before the time was set back by less, run on ahead of the time; a
# generator that is further ahead than this starts anew at the time.
FURTHEST_AHEAD: Final = timedelta(seconds=10)

_MICROSECOND: Final = timedelta(microseconds=1)
_NS_A_MS: Final = 1_000_000
# The 60 bits that order ids: milliseconds, and 4,096ths of one.
_TICK_BITS: Final = 12
_TICKS_AHEAD: Final = (FURTHEST_AHEAD // timedelta(milliseconds=1)) << _TICK_BITS
_VERSION_AND_VARIANT: Final = (0x7 << 76) | (0b10 << 62)


class IdGenerator:
    """UUIDs v7 that strictly increase (RFC 9562, 6.2, method 3).

    Their time is the database's, once `follow` was called: the days that jobs are kept by are the
    database's, and this machine's clock may be wrong. Between two calls a monotonic clock counts,
    so that a wall clock that is set changes nothing.
    """

    def __init__(self, monotonic_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic_ns = monotonic_ns
        self._ahead_ns = time.time_ns() - monotonic_ns()
        self._last = 0
        # One of its own: a handler that seeds the shared one would make ids repeat.
        self._random_bits = random.Random().getrandbits  # noqa: S311 - ids are no secrets

    def follow(self, now: datetime) -> None:
        """Take this for the present time."""
        since_epoch_us = (now - datetime.fromtimestamp(0, tz=now.tzinfo)) // _MICROSECOND
        self._ahead_ns = since_epoch_us * 1000 - self._monotonic_ns()

    def __call__(self) -> UUID:
        tick = ((self._monotonic_ns() + self._ahead_ns) << _TICK_BITS) // _NS_A_MS
        last = self._last
        if tick <= last and last - tick < _TICKS_AHEAD:
            tick = last + 1
        self._last = tick
        milliseconds, fraction = tick >> _TICK_BITS, tick & 0xFFF
        return UUID(
            int=milliseconds << 80 | fraction << 64 | _VERSION_AND_VARIANT | self._random_bits(62)
        )


# The one piece of state of a module: a process has one clock, and its ids one order.
new_id: Final = IdGenerator()


def new_request_id() -> str:
    """A UUID v7, written out: six times as fast as writing out a `UUID`."""
    return str(uuid_utils.uuid7())


def new_worker_id() -> str:
    """A name that no worker process had before; it tells users nothing about the machine."""
    return f"w-{secrets.token_hex(6)}"
