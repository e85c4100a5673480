"""What a supervised process and its supervisor say to each other: lines of JSON, and a byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from internal.services.worker.supervision import HandlerCode, RunningAttempt

# From the supervisor, before the SIGTERM that asks the process to stop.
STOP_ASKED: Final = b"s"
# A beat with a thousand attempts has some 100 KB.
LONGEST_LINE: Final = 4 * 1024 * 1024


class Introduction(msgspec.Struct, frozen=True, tag="introduction"):
    """Which code the handlers of a worker are."""

    handlers: Sequence[HandlerCode]


class Sign(msgspec.Struct, frozen=True, tag="sign"):
    """A sign of life, with the names that leases are held under and what runs."""

    worker_ids: Sequence[str] = ()
    attempts: Sequence[RunningAttempt] = ()


class IsolatedWanted(msgspec.Struct, frozen=True, tag="isolated"):
    """A job waits that only an isolated worker may run."""


Message = Introduction | Sign | IsolatedWanted
