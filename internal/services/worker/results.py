"""What a handler returned, as JSON text, or why it cannot be that."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import islice
from typing import Any, Final

import msgspec

from internal.domain.attempt_log import kind_of, text_of

# Room for 64 KiB of a fetched body even where each of its bytes becomes an escape of six.
MAX_RESULT_BYTES: Final = 1024 * 1024
# What the encoder takes depends on how deep the stack is already: somewhat less than a thousand.
MAX_DEPTH: Final = 500
MAX_LOOKED_AT: Final = 200_000
SHOWN_STEPS: Final = 8
MAX_STEP_CHARS: Final = 100

_CANNOT: Final = "the handler's result cannot be written as JSON"


class UnwritableError(ValueError):
    """The handler's result cannot be kept."""


class _Spot(msgspec.Struct):
    """A value within the result, and where it stands."""

    value: Any
    steps: tuple[str, ...] = ()
    rest: Iterator[tuple[str, Any]] | None = None

    def __str__(self) -> str:
        path = "".join(self.steps[:SHOWN_STEPS])
        return f"${path}{'...' * (len(self.steps) > SHOWN_STEPS)}"


def written(value: Any) -> str:
    """The JSON text of a result.

    Raises:
        UnwritableError: naming the value at fault and where it is.
    """
    try:
        result = msgspec.json.encode(value)
        if isinstance(value, msgspec.Raw):
            msgspec.json.decode(result)  # taken as it is above
        text = result.decode()
    except RecursionError:
        deep = _fault(value, MAX_LOOKED_AT, MAX_DEPTH) or "it is nested too deep"
        raise UnwritableError(f"{_CANNOT}: {deep}") from None
    except Exception as error:
        raise UnwritableError(f"{_CANNOT}: {text_of(error, 500)}") from error
    if len(result) > MAX_RESULT_BYTES:
        limit = f"at most {MAX_RESULT_BYTES:,} are kept"
        raise UnwritableError(f"the handler's result has {len(result):,} bytes; {limit}")
    # The encoder writes null for numbers that JSON has no word for. Few results have a null, and to
    # look for one takes microseconds.
    if (
        "null" in text
        and not _is_finite(value)
        and (fault := _fault(value, MAX_RESULT_BYTES, MAX_RESULT_BYTES))
    ):
        raise UnwritableError(f"{_CANNOT}: {fault}")
    return text


def _is_finite(value: Any) -> bool:
    """Whether all of its numbers are; a result of a megabyte takes some 40 ms."""
    try:
        json.dumps(msgspec.to_builtins(value), allow_nan=False)
    except Exception:  # noqa: BLE001 - to be looked at more closely
        return False
    return True


def _fault(value: Any, most: int, deepest: int) -> str | None:
    """The first value that JSON cannot say, among so many, or that is too deep."""
    inside: list[_Spot] = []
    held: set[int] = set()
    for spot in islice(_spots(value, inside, held), most):
        if isinstance(spot.value, float) and not math.isfinite(spot.value):
            return f"{spot} is {spot.value}: JSON has no such number, return None or a text for it"
        if id(spot.value) in held:
            return f"{spot} is a {kind_of(spot.value)} that holds itself"
        if len(inside) > deepest:
            return f"{spot} is nested more than {deepest} levels deep"
    return None


def _spots(value: Any, inside: list[_Spot], held: set[int]) -> Iterator[_Spot]:
    """Every value within, each before what it holds; `inside` are those around it."""
    spot = _Spot(value)
    yield spot
    while True:
        parts = _parts(spot.value)
        if parts is not None:
            spot.rest = iter(parts)
            inside.append(spot)
            held.add(id(spot.value))
        following = None
        while inside and following is None:
            following = next(inside[-1].rest or iter(()), None)
            if following is None:
                held.discard(id(inside.pop().value))
        if following is None:
            return
        step, inner = following
        around = inside[-1].steps
        spot = _Spot(inner, (*around, step) if len(around) <= SHOWN_STEPS else around)
        yield spot


def _parts(value: Any) -> Iterable[tuple[str, Any]] | None:
    """What a value holds, each with its step of a path; None for what holds nothing."""
    match value:
        case dict():
            return ((f".{text_of(key, MAX_STEP_CHARS)}", each) for key, each in dict.items(value))
        case list() | tuple() | set() | frozenset():
            return ((f"[{index}]", each) for index, each in enumerate(value))
        case Enum():
            return (("", value.value),)
        case msgspec.Struct():
            return ((f".{name}", getattr(value, name)) for name in value.__struct_fields__)
        case _ if dataclasses.is_dataclass(value):
            names = (each.name for each in dataclasses.fields(value))
            return ((f".{name}", getattr(value, name, None)) for name in names)
        case _:
            return None
