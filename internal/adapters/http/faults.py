"""Making sentences about a client's mistake out of msgspec's messages."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from internal.domain.errors import FieldError, ValidationError
from internal.domain.failures import SIXTEEN_DIGITS
from internal.domain.jobs import Priority, Status
from internal.domain.operations import Action
from internal.domain.retry import Strategy
from internal.domain.slots import Missed
from internal.domain.submission import PRINTABLE

# "Expected `str`, got `int` - at `$.jobs[3].type`"; without the tail when the body itself is wrong.
_AT: Final = " - at `"
_PATH: Final = re.compile(r"(?:key in )?\$(?P<path>.*)`", re.DOTALL)
_IN_BATCH: Final = re.compile(r"\.jobs\[(?P<index>\d+)\](?P<rest>.*)")
_NAMED_FIELD: Final = re.compile(r"Object (?P<how>missing required|contains unknown) field `(.+)`")
_EXPECTED: Final = re.compile(r"Expected `(?P<types>[^`]+)`(?P<rest>.*)", re.DOTALL)
_GOT: Final = re.compile(r", got `(?P<type>[^`]+)`")

_WHEN: Final = "a date and time with zone, like 2026-01-31T12:00:00Z"
_REPHRASED: Final = {
    "Number out of range": "is a number out of range",
    "Integer value out of range": "is an integer out of range",
    "Invalid UUID": "must be a UUID",
    "Invalid RFC3339 encoded datetime": f"must be {_WHEN}",
    "Expected `datetime` with a timezone component": f"must be {_WHEN}",
    f"Expected `str` matching regex {PRINTABLE!r}": "must not hold control characters",
    f"Expected `str` matching regex {SIXTEEN_DIGITS!r}": "must be 16 hexadecimal digits",
}
_NAMES: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
    "uuid": "a UUID",
    "datetime": _WHEN,
}
BODY: Final = "body"
MAX_WHAT_CHARS: Final = 1_000
MAX_PATH_CHARS: Final = 500

_BAD_CHOICE: Final = re.compile(r"Invalid enum value (.*)", re.DOTALL)
_CHOICES: Final[dict[str, type[StrEnum]]] = {
    "status": Status,
    "priority": Priority,
    "strategy": Strategy,
    "action": Action,
    "missed": Missed,
}


def invalid(message: str, field: str = "") -> ValidationError:
    """What a client reads about a message of msgspec's.

    Args:
        field: where the message's path begins, when not at the body.
    """
    what, path = _parted(message)
    index = None
    if in_batch := _IN_BATCH.fullmatch(path):
        index, path = int(in_batch["index"]), in_batch["rest"]
    where = (field + path).lstrip(".")
    if named := _NAMED_FIELD.fullmatch(what):
        where = f"{where}.{named[2][:MAX_PATH_CHARS]}".lstrip(".")
        what = "is required" if named["how"].startswith("missing") else "is not a known field"
    return ValidationError.of(
        FieldError(where or BODY, _sentence(what[:MAX_WHAT_CHARS], where), index)
    )


def _parted(message: str) -> tuple[str, str]:
    """What is wrong, and the path of where; both may hold a client's own megabytes."""
    what, mark, where = message.rpartition(_AT)
    found = _PATH.fullmatch(where) if mark else None
    if found is None:
        return message, ""
    return what, found["path"][:MAX_PATH_CHARS]


def _sentence(what: str, where: str) -> str:
    choices = _CHOICES.get(where.rpartition(".")[2].partition("[")[0])
    if choices is not None and (chosen := _BAD_CHOICE.fullmatch(what)):
        return f"must be one of {', '.join(choices)}, not {chosen[1]}"
    if what in _REPHRASED:
        return _REPHRASED[what]
    if not (expected := _EXPECTED.fullmatch(what)):
        return what[:1].lower() + what[1:]
    types = " or ".join(_name(each) for each in expected["types"].split(" | "))
    rest = _GOT.sub(lambda got: f", not {_name(got['type'])}", expected["rest"])
    return f"must be {types}{rest}"


def _name(type_: str) -> str:
    return _NAMES.get(type_, type_)
