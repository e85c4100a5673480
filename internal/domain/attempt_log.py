"""What an attempt says of itself: how much of it is kept, and how a log is read."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from internal.domain.times import Moment

MAX_NOTE_CHARS: Final = 200
MAX_LINE_CHARS: Final = 2_000
# Of an attempt, besides a last one that says how many were dropped.
MAX_LINES: Final = 1_000
LINES_PER_S: Final = 100
# What may come in one go before the rate counts.
LINES_AT_ONCE: Final = 200
MAX_KIND_CHARS: Final = 100
MAX_LOG_PAGE: Final = 1_000
DEFAULT_LOG_PAGE: Final = 200

ELLIPSIS: Final = "…"


class LogLine(msgspec.Struct, frozen=True):
    """A line that a handler logged; its text may have line breaks."""

    at: Moment
    attempt: int
    line: Annotated[str, Meta(examples=["3 of 12 pages read"])]


class LogPlace(msgspec.Struct, frozen=True):
    """Where a line stands in its job's log: the attempt, and which line of it, from 1."""

    attempt: int = 0
    number: int = 0


class LogPage(msgspec.Struct, frozen=True):
    """Lines in the order in which they were logged; `next_after` is None at the end."""

    lines: list[LogLine]
    next_after: LogPlace | None


def clean(text: str) -> str:
    """Text that PostgreSQL takes: no NUL, no lone surrogates."""
    return text.replace("\0", "�").encode(errors="replace").decode()


def shortened(text: str, most: int) -> str:
    """Clean text of at most so many characters; an ellipsis stands for what is cut off."""
    return clean(text) if len(text) <= most else clean(text[: most - 1]) + ELLIPSIS


def text_of(thing: object, most: int) -> str:
    """What `str` makes of an operator's object, as clean text of at most so many characters.

    An object that cannot say it is named by its type and what went wrong.
    """
    try:
        return shortened(beginning(str(thing), most + 1), most)
    except BaseException as error:  # noqa: BLE001 - `__str__` is an operator's code
        return f"<{kind_of(thing)} without a text: {kind_of(error)}>"


def share_of(value: float) -> float:
    """How much of an attempt is done: the nearest number from 0 to 1.

    Raises:
        TypeError: for what is no number.
        ValueError: for NaN.
    """
    if not isinstance(value, int | float):
        raise TypeError(f"progress takes a number from 0 to 1, not of type {kind_of(value)}")
    if value != value:  # noqa: PLR0124 - only NaN is unlike itself, and an int may be huge
        raise ValueError("progress takes a number from 0 to 1, not NaN")
    return float(min(1.0, max(0.0, value)))


def beginning(text: str, chars: int) -> str:
    """The first characters as a plain `str`, whatever a subclass of it would answer."""
    return str.__getitem__(text, slice(chars))


def kind_of(thing: object) -> str:
    """The name of a type, which a metaclass may hide."""
    try:
        return beginning(type(thing).__name__, MAX_KIND_CHARS)
    except BaseException:  # noqa: BLE001 - as above
        return "object"


def dropped_line(lines: int) -> str:
    """How a log ends of which not all was kept."""
    were = "1 line was" if lines == 1 else f"{lines:,} lines were"
    return f"{were} dropped: an attempt may log {MAX_LINES:,} lines, {LINES_PER_S} in a second"
