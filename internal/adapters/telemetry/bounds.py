"""No record makes a line of more than 64 KB, and none takes long to write, whatever it is about."""

from __future__ import annotations

import logging
import traceback
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, Final

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from internal.adapters.telemetry.secrecy import HIDDEN, hidden, is_telling
from internal.domain.attempt_log import beginning, kind_of, text_of

MAX_VALUE_CHARS: Final = 10_000
MAX_EVENT_CHARS: Final = 40_000
MAX_LINE_BYTES: Final = 64 * 1024
# For the second try: a character may become an escape of twelve.
FEW_CHARS: Final = 4_000
MAX_NAME_CHARS: Final = 100
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 4
MAX_DIGITS: Final = 10**30
MAX_CHAIN: Final = 5
MAX_FRAMES: Final = 20
MAX_MESSAGE_CHARS: Final = 2_000


class _Room:
    """How many characters an event may still take."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, text: str, most: int) -> tuple[str, bool]:
        """The beginning of a text, as far as there is room, and whether it is cut."""
        most = min(most, self.left)
        taken = beginning(text, most + 1)
        self.left -= min(len(taken), most)
        return taken[:most], len(taken) > most


def bound(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: cuts values, then hides secrets in what is left."""
    return _within(event, MAX_EVENT_CHARS)


def rendered(render: Processor) -> Processor:
    """The last processor: writes a line of the event, and again with less where it is too long."""

    def render_within_bounds(logger: WrappedLogger, method: str, event: EventDict) -> str:
        line = str(render(logger, method, dict(event)))
        if len(line.encode(errors="replace")) > MAX_LINE_BYTES:
            line = str(render(logger, method, _within(event, FEW_CHARS)))
        return line

    return render_within_bounds


class SafeFormatter(structlog.stdlib.ProcessorFormatter):
    """Writes a line also for a record whose message cannot be made."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        try:
            return super().format(record)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - `__str__` of what a handler logs
            text = "a log record cannot be written: %s"
            place = (record.name, logging.WARNING, record.pathname, record.lineno)
            return super().format(logging.LogRecord(*place, text, (kind_of(error),), None))


def _within(event: EventDict, chars: int) -> EventDict:
    room = _Room(chars)
    return dict(_items(event, room, MAX_DEPTH, is_secret=False))


def _items(
    items: Mapping[Any, Any], room: _Room, depth: int, *, is_secret: bool
) -> Iterator[tuple[str, Any]]:
    for key, value in islice(items.items(), MAX_ITEMS):
        name, _ = room.take(text_of(key, MAX_NAME_CHARS), MAX_NAME_CHARS)
        yield name, _shown(value, room, depth, is_secret=is_secret or is_telling(name))


def _shown(value: Any, room: _Room, depth: int, *, is_secret: bool) -> Any:
    match value:
        case None | bool() | float():
            return value
        case int() if -MAX_DIGITS < value < MAX_DIGITS:
            return value
        case Mapping() if depth:
            return dict(_items(value, room, depth - 1, is_secret=is_secret))
        case list() | tuple() | set() | frozenset() if depth:
            parts = islice(value, MAX_ITEMS)
            return [_shown(each, room, depth - 1, is_secret=is_secret) for each in parts]
    if is_secret:
        return HIDDEN
    text = value if isinstance(value, str) else text_of(value, MAX_VALUE_CHARS + 1)
    taken, is_cut = room.take(text, MAX_VALUE_CHARS)
    return hidden(taken, is_cut=is_cut)


def traceback_text(exc_info: ExcInfo) -> str:
    """An exception with its causes, as Python writes them, but never more than some."""
    chain = list(islice(_chain(exc_info[1]), MAX_CHAIN))
    return "\n\n".join(map(_one, reversed(chain)))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one(error: BaseException) -> str:
    lines = "".join(traceback.format_tb(_innermost(error.__traceback__)))
    members = error.exceptions[:MAX_CHAIN] if isinstance(error, BaseExceptionGroup) else ()
    said = [_headline(each) for each in (error, *members)]
    return "Traceback (most recent call last):\n" + lines + "\n  with ".join(said)


def _headline(error: BaseException) -> str:
    said = text_of(error, MAX_MESSAGE_CHARS)
    return f"{kind_of(error)}: {said}" if said else kind_of(error)


def _innermost(trace: TracebackType | None) -> TracebackType | None:
    last: deque[TracebackType] = deque(maxlen=MAX_FRAMES)
    while trace is not None:
        last.append(trace)
        trace = trace.tb_next
    return last[0] if last else None
