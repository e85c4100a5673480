"""Results as JSON text, and why some are none."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from internal.services.worker.results import MAX_RESULT_BYTES, UnwritableError, written


class Score(msgspec.Struct):
    value: float | None


@dataclass
class Point:
    x: float
    y: Any = None


class Odd(enum.Enum):
    NAN = math.nan


class HostileKey:
    def __hash__(self) -> int:
        return 1

    def __str__(self) -> str:
        raise MemoryError

    __repr__ = __str__


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def a_list_that_holds_itself() -> Any:
    loop: list[Any] = [1]
    loop.append(loop)
    return loop


def a_dict_that_holds_itself() -> Any:
    loop: dict[str, Any] = {"next": {}}
    loop["next"]["back"] = loop
    return {"chain": loop}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"score": math.nan}, "$.score is nan"),
        (math.inf, "$ is inf"),
        ([1, None, {"low": -math.inf}], "$[2].low is -inf"),
        (Score(math.nan), "$.value is nan"),
        (Point(1.0, (math.inf,)), "$.y[0] is inf"),
        ({"odd": Odd.NAN}, "$.odd is nan"),
        (a_list_that_holds_itself(), "$[1] is a list that holds itself"),
        (a_dict_that_holds_itself(), "$.chain.next.back is a dict that holds itself"),
        (nested(5_000), "levels deep"),
        ({"a": [nested(100_000)]}, "$.a[0][0]"),
        (object(), "object is unsupported"),
        ({HostileKey(): 1}, "Only dicts with"),
        ({"s": "\ud800"}, "cannot be written as JSON"),
        (msgspec.Raw(b"NaN"), "cannot be written as JSON"),
        (msgspec.Raw(b'"\xff"'), "cannot be written as JSON"),
        ("x" * MAX_RESULT_BYTES, "1,048,578 bytes"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_what_json_cannot_say_is_refused_by_its_place(value: Any, fault: str) -> None:
    with pytest.raises(UnwritableError) as caught:
        written(value)
    assert fault in str(caught.value)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": None, "b": 1.5}, '{"a":null,"b":1.5}'),
        ([Score(None), Point(0.25)], '[{"value":null},{"x":0.25,"y":null}]'),
        ("null", '"null"'),
        (msgspec.Raw(b'{"a": null}'), '{"a": null}'),
        ([[None], [None]], "[[null],[null]]"),
        ([None, {"raw": msgspec.Raw(b"1.0")}], '[null,{"raw":1.0}]'),
        ([None, nested(600)], "[null," + "[" * 601 + "]" * 601 + "]"),
        (True, "true"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_json_can_say_is_written_as_it_is(value: Any, text: str) -> None:
    assert written(value) == text


def test_what_stands_in_two_places_does_not_hold_itself() -> None:
    shared = {"a": None}
    assert written([shared, shared, {"again": shared}]).count("null") == 3
