"""What an exception of a handler says and where it was raised, in bounded text."""

from __future__ import annotations

import sysconfig
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import CodeType, TracebackType
from typing import Final

import msgspec

from internal.domain import outcomes
from internal.domain.attempt_log import beginning, clean, kind_of, shortened

MAX_ERROR_CHARS: Final = 10_000
MAX_PLACES: Final = 5
MAX_CAUSES: Final = 3
MAX_MEMBERS: Final = 3
MAX_NOTES: Final = 3
MAX_WORDS_CHARS: Final = 200
MAX_NAME_CHARS: Final = 100
# Kept free for the places, notes and causes behind a long message.
ROOM_FOR_PLACES: Final = 3_000

# The worker, and the delays that handlers ask for.
_OURS: Final = (str(Path(__file__).parent), outcomes.__file__)
_LIBRARIES: Final = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    "<frozen ",
)


class Place(msgspec.Struct, frozen=True):
    """A line that was running when the exception was raised; `package` is its module's first."""

    code: CodeType
    line: int
    package: str

    def __str__(self) -> str:
        """No folders: they tell of the machine, not of the fault."""
        file = self.code.co_filename.replace("\\", "/").rpartition("/")[2][-MAX_NAME_CHARS:]
        return f"{file}:{self.line} in {self.code.co_qualname[:MAX_NAME_CHARS]}"


def message(error: BaseException) -> str:
    """What an exception says, cut before anything else looks at it; empty if it cannot say it."""
    try:
        return beginning(str(error), MAX_ERROR_CHARS)
    except BaseException:  # noqa: BLE001 - `__str__` is an operator's code
        return ""


def error_text(error: BaseException) -> str:
    """The message, then a line for each of the innermost places of the author's own code.

    Of notes, causes and the members of a group the first few follow.
    """
    said, kind = message(error), kind_of(error)
    headline = f"{kind}: {said}" if said else kind
    try:
        details = "\n".join(_details(error))
    except BaseException:  # noqa: BLE001 - attributes of an operator's exception
        return shortened(headline, MAX_ERROR_CHARS)
    room = MAX_ERROR_CHARS - min(len(details), ROOM_FOR_PLACES) - 1
    text = shortened(headline, room)
    return f"{text}\n{clean(details[:ROOM_FOR_PLACES])}" if details else text


def _details(error: BaseException) -> Iterator[str]:
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        yield from (_line(each) for each in islice(notes, MAX_NOTES) if isinstance(each, str))
    yield from (f"  at {place}" for place in _places(error.__traceback__))
    yield from (f"because of {_brief(each)}" for each in _causes(error))
    if isinstance(error, BaseExceptionGroup):
        yield from (f"with {_brief(each)}" for each in error.exceptions[:MAX_MEMBERS])


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen = {id(error)}
    for _ in range(MAX_CAUSES):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or id(cause) in seen:
            return
        seen.add(id(cause))
        yield cause
        error = cause


def _brief(error: BaseException) -> str:
    """An exception beside the one that ended the attempt, in a line.

    Only a message that is at hand: each may take as long to say it as the first.
    """
    brief = kind_of(error)
    if len(error.args) == 1 and isinstance(error.args[0], str):
        brief += f": {_line(error.args[0])}"
    places = _places(error.__traceback__)
    return f"{brief} at {places[0]}" if places else brief


def _line(text: str) -> str:
    return " ".join(beginning(text, MAX_WORDS_CHARS).split())


def _places(traceback: TracebackType | None) -> list[Place]:
    """Where it was raised, then the author's own code around that, the innermost first."""
    own: deque[Place] = deque(maxlen=MAX_PLACES)
    package: deque[Place] = deque(maxlen=MAX_PLACES)
    first = last = None
    for place in _walk(traceback):
        first, last = first or place, place
        if not _is_library(place.code.co_filename):
            own.append(place)
        elif place.package == first.package:
            package.append(place)
    # An author's code that is installed like a library is known by the handler's own package.
    shown = list(reversed(own or package))
    return [last, *shown] if last is not None and last not in shown else shown


def _is_library(file: str) -> bool:
    return file.startswith(_LIBRARIES) or file.endswith(".pyx")  # uvloop's say no folder


def _walk(traceback: TracebackType | None) -> Iterator[Place]:
    """The places from the handler inwards; a recursion at one line counts once."""
    before: tuple[CodeType, int] | None = None
    while traceback is not None:
        code, line = traceback.tb_frame.f_code, traceback.tb_lineno
        if (code, line) != before and not code.co_filename.startswith(_OURS):
            before = code, line
            module = traceback.tb_frame.f_globals.get("__name__")
            package = module.partition(".")[0] if isinstance(module, str) else ""
            yield Place(code, line, package)
        traceback = traceback.tb_next
