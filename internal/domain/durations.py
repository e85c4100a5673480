"""Durations as people write them: `500ms`, `30s`, `15m`, `24h`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

DAY_MS: Final = 24 * 3600 * 1000

_UNITS: Final = {
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
}
_DURATION: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d)")


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    Raises:
        ValueError: saying what is allowed.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a number with a unit: 500ms, 30s, 15m, 24h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def milliseconds(duration: timedelta) -> int:
    """Whole milliseconds of a duration."""
    return duration // timedelta(milliseconds=1)
