from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the supervisor reads from an end."""

    OK = 0
    FAILED = 1
    RECYCLE = 75  # start me again at once
    UNUSABLE = 78  # no start will succeed before the operator has changed something
