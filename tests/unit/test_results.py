"""Results as JSON text, and why some are none."""

from __future__ import annotations

import enum
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest

from internal.services.worker.result_parts import MAX_RESULT_BYTES, least_size
from internal.services.worker.results import UnwritableError, written


class Score(msgspec.Struct):
    value: float | None


@dataclass
class Point:
    x: float
    y: Any = None


@attrs.define
class Hidden:
    shown: int
    _a: Any = None
    _b: Any = None


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
        (msgspec.Raw(b"NaN"), "$ is a Raw that is no JSON: "),
        ({"rows": [1, msgspec.Raw(b"not json")]}, "$.rows[1] is a Raw that is no JSON: "),
        (Score(msgspec.Raw(b"")), "$.value is a Raw that is no JSON: "),  # type: ignore[arg-type]
        ([msgspec.Raw(b"1 2")], "$[0] is a Raw that is no JSON: "),
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
        (Hidden(1), '{"shown":1}'),
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


class Pair(msgspec.Struct):
    a: Any
    b: Any


class PairTuple(NamedTuple):
    a: Any
    b: Any


@attrs.define
class PairOfAttrs:
    a: Any
    b: Any


class EndlessList(list[Any]):
    def __iter__(self) -> Any:
        return itertools.repeat(1)


def doubled(pair: Callable[[Any, Any], Any], of: Any = "x" * 10) -> Any:
    """A few objects in memory, and 2 to the power of 40 in JSON."""
    for _ in range(40):
        of = pair(of, of)
    return of


@pytest.mark.parametrize(
    "make",
    [
        lambda: doubled(lambda a, b: [a, b]),
        lambda: doubled(lambda a, b: (a, b), of=0),
        lambda: doubled(lambda a, b: {"a": a, "b": b}, of=[]),
        lambda: doubled(lambda a, b: OrderedDict(a=a, b=b), of=None),
        lambda: doubled(Pair, of=0.5),
        lambda: doubled(PairTuple, of={}),
        lambda: doubled(PairOfAttrs),
        lambda: doubled(Point, of=1.5),
        lambda: ["x" * 1_000_000] * 1_000_000,
        lambda: {"rows": [{"k" * 1_000_000: 1}] * 1_000_000},
        lambda: [b"x" * 1_000_000] * 1_000_000,
        lambda: [msgspec.Raw(b'"%s"' % (b"x" * 1_000_000))] * 1_000_000,
        lambda: [10**4_000] * 1_000_000,
        lambda: [range_of(1_000_000)] * 1_000_000,
    ],
)
def test_what_few_objects_say_many_times_is_refused_before_it_is_written(
    make: Callable[[], Any],
) -> None:
    with pytest.raises(UnwritableError, match="more than 2,097,152 bytes; at most 1,048,576"):
        written(make())


def range_of(size: int) -> frozenset[int]:
    return frozenset(range(size))


@pytest.mark.parametrize(
    "value",
    [
        [0] * 524_287,
        [[]] * 349_525,
        {str(number): None for number in range(70_000)},
        {"a" * 1_048_570: 1},
        [12] * 349_525,
        [-(10**4_000)] * 261,
        ["é" * 100] * 5_000,
        [Pair(1, None)] * 50_000,
        [(1, 2)] * 174_762,
        EndlessList([1, 2]),
        b"x" * 786_000,
        [Hidden(1)] * 80_000,
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_least_size_is_never_more_than_what_is_written(value: Any) -> None:
    text = written(value)
    assert len(text.encode()) <= MAX_RESULT_BYTES
    assert least_size(value) <= len(text.encode())
