"""Making sentences about a client's mistake out of msgspec's messages."""

from __future__ import annotations

import re
from typing import Final

from internal.domain.errors import FieldError, ValidationError

# "Expected `str`, got `int` - at `$.jobs[3].type`"; without the tail when the body itself is wrong.
_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_IN_BATCH: Final = re.compile(r"\.jobs\[(?P<index>\d+)\](?P<rest>.*)")
_NAMED_FIELD: Final = re.compile(r"Object (?P<how>missing required|contains unknown) field `(.+)`")
_EXPECTED: Final = re.compile(r"Expected `(?P<types>[^`]+)`(?P<rest>.*)", re.DOTALL)
_GOT: Final = re.compile(r", got `(?P<type>[^`]+)`")

_NAMES: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
    "uuid": "a UUID",
    "datetime": "a date and time with zone, like 2026-01-31T12:00:00Z",
}
BODY: Final = "body"


def invalid(message: str, field: str = "") -> ValidationError:
    """What a client reads about a message of msgspec's.

    Args:
        field: where the message's path begins, when not at the body.
    """
    found = _AT.match(message)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    index = None
    if in_batch := _IN_BATCH.fullmatch(path):
        index, path = int(in_batch["index"]), in_batch["rest"]
    where = (field + path).lstrip(".")
    if named := _NAMED_FIELD.fullmatch(what):
        where = f"{where}.{named[2]}".lstrip(".")
        what = "is required" if named["how"].startswith("missing") else "is not a known field"
    return ValidationError.of(FieldError(where or BODY, _sentence(what), index))


def _sentence(what: str) -> str:
    if not (expected := _EXPECTED.fullmatch(what)):
        return what[:1].lower() + what[1:]
    types = " or ".join(_name(each) for each in expected["types"].split(" | "))
    rest = _GOT.sub(lambda got: f", not {_name(got['type'])}", expected["rest"])
    return f"must be {types}{rest}"


def _name(type_: str) -> str:
    return _NAMES.get(type_, type_)
