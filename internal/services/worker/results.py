"""What a handler returned, as JSON text, or why it cannot be that."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from internal.domain.attempt_log import kind_of, text_of
from internal.services.worker.result_parts import (
    MAX_RESULT_BYTES,
    MOST_COUNTED,
    least_size,
    parts_of,
)

# What the encoder takes depends on how deep the stack is already: somewhat less than a thousand.
MAX_DEPTH: Final = 500
MAX_LOOKED_AT: Final = 200_000
# Of what is too large anyhow, to find out whether it holds itself.
BRIEFLY: Final = 20_000
SHOWN_STEPS: Final = 8

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
        _check_least_size(value)
        result = msgspec.json.encode(value)
        text = result.decode()
    except UnwritableError:
        raise
    except RecursionError:
        deep = _fault(value, MAX_LOOKED_AT, MAX_DEPTH) or "it is nested too deep"
        raise UnwritableError(f"{_CANNOT}: {deep}") from None
    except msgspec.DecodeError as error:
        misspelt = _fault(value, MAX_LOOKED_AT, MAX_DEPTH) or text_of(error, 500)
        raise UnwritableError(f"{_CANNOT}: {misspelt}") from None
    except Exception as error:
        raise UnwritableError(f"{_CANNOT}: {text_of(error, 500)}") from error
    if len(result) > MAX_RESULT_BYTES:
        raise UnwritableError(_too_large(len(result)))
    # The encoder writes null for numbers that JSON has no word for. Few results have a null, and to
    # look for one takes microseconds.
    if (
        "null" in text
        and not _is_finite(value)
        and (fault := _fault(value, MAX_RESULT_BYTES, MAX_RESULT_BYTES))
    ):
        raise UnwritableError(f"{_CANNOT}: {fault}")
    return text


def _check_least_size(value: Any) -> None:
    if least_size(value) > MOST_COUNTED:
        fault = _fault(value, BRIEFLY, MAX_DEPTH)
        raise UnwritableError(f"{_CANNOT}: {fault}" if fault else _too_large(MOST_COUNTED))


def _too_large(size: int) -> str:
    known = f"{size:,}" if size != MOST_COUNTED else f"more than {size:,}"
    return f"the handler's result has {known} bytes; at most {MAX_RESULT_BYTES:,} are kept"


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
    looked_at: set[int] = set()
    for spot in islice(_spots(value, inside, held), most):
        if isinstance(spot.value, float) and not math.isfinite(spot.value):
            return f"{spot} is {spot.value}: JSON has no such number, return None or a text for it"
        if isinstance(spot.value, msgspec.Raw) and id(spot.value) not in looked_at:
            looked_at.add(id(spot.value))
            if reason := _misspelt(spot.value):
                return f"{spot} is a Raw that is no JSON: {reason}"
        if id(spot.value) in held:
            return f"{spot} is a {kind_of(spot.value)} that holds itself"
        if len(inside) > deepest:
            return f"{spot} is nested more than {deepest} levels deep"
    return None


def _misspelt(raw: msgspec.Raw) -> str | None:
    try:
        msgspec.json.decode(raw)
    except Exception as error:  # noqa: BLE001 - be it a RecursionError
        return text_of(error, 500)
    return None


def _spots(value: Any, inside: list[_Spot], held: set[int]) -> Iterator[_Spot]:
    """Every value within, each before what it holds; `inside` are those around it."""
    spot = _Spot(value)
    yield spot
    while True:
        parts = parts_of(spot.value)
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
