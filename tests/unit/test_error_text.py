"""What is kept of an exception: bounded, and with the places of the author's own code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from internal.domain.outcomes import Retry
from internal.services.worker.error_text import MAX_ERROR_CHARS, error_text

HERE = "test_error_text.py"


class Wordless(Exception):
    def __str__(self) -> str:
        raise SystemExit


class NoText(Exception):
    def __str__(self) -> str:
        return 1  # type: ignore[return-value]  # noqa: PLE0307


class Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise KeyError


class Hidden(Exception, metaclass=Nameless): ...


class HostileNotes(Exception):
    __notes__: Any = 5


class HostileText(str):
    __slots__ = ()

    def __getitem__(self, key: Any) -> str:
        raise MemoryError

    def __len__(self) -> int:
        raise MemoryError


class Said(Exception):
    def __str__(self) -> str:
        return HostileText("x" * 20_000)


def text_of(function: Callable[..., Any], *arguments: Any) -> str:
    try:
        function(*arguments)
    except Exception as error:  # noqa: BLE001 - whatever it raises
        return error_text(error)
    raise AssertionError


def look_up() -> None:
    price_of({})


def price_of(prices: dict[str, int]) -> int:
    return prices["x"]


def read_json() -> None:
    json.loads("{")


def recurse(depth: int) -> None:
    if depth == 0:
        raise ValueError("at the bottom")
    recurse(depth - 1)


def chained() -> None:
    try:
        look_up()
    except KeyError as error:
        raise RuntimeError("no price") from error


def thrown(error: BaseException) -> None:
    raise error


def test_the_innermost_places_of_the_authors_code_follow_the_message() -> None:
    first, *places = text_of(look_up).splitlines()

    assert first == "KeyError: 'x'"
    assert [each.partition(" in ")[2] for each in places] == ["price_of", "look_up", "text_of"]
    assert places[0].startswith(f"  at {HERE}:")
    assert "/" not in "".join(places)


def test_where_a_library_raised_stands_before_the_authors_code() -> None:
    places = text_of(read_json).splitlines()[1:]

    assert places[0].startswith("  at decoder.py:")
    assert places[1].endswith("in read_json")
    assert not any("__init__.py" in each for each in places)


def test_code_that_is_installed_like_a_library_is_known_by_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = ModuleType("shop.orders")
    source = "import json\ndef charge(): read()\ndef read(): json.loads('{')\n"
    path = f"{sys.prefix}/lib/python3.11/site-packages/shop/orders.py"
    monkeypatch.setattr(
        "internal.services.worker.error_text._LIBRARIES", (path, json.__file__.rpartition("/")[0])
    )
    exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - a module of that path
    module.charge.__globals__["__name__"] = "shop.orders"
    with pytest.raises(ValueError, match="Expecting") as caught:
        module.charge()
    assert caught.value.__traceback__ is not None
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)
    places = error_text(error).splitlines()[1:]

    assert [each.partition(" in ")[2] for each in places][1:] == ["read", "charge"]


def test_causes_are_named_with_their_place() -> None:
    last = text_of(chained).splitlines()[-1]

    assert last.startswith(f"because of KeyError: x at {HERE}:")
    assert last.endswith("in price_of")


def chain_of_causes() -> BaseException:
    error = ValueError("first")
    for number in range(1_000):
        later = ValueError(f"number {number}")
        later.__cause__ = error
        error = later
    return error


def loop_of_causes() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def noted() -> BaseException:
    error = ValueError("noted")
    for _ in range(10_000):
        error.add_note("n" * 10_000)
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x" * 1_000_000),
        ValueError("\0\ud800" * 1_000_000),
        ExceptionGroup("many", [ValueError("m" * 1_000)] * 10_000),
        ExceptionGroup("deep", [ExceptionGroup("deeper", [ValueError(1)])]),
        chain_of_causes(),
        loop_of_causes(),
        noted(),
        Wordless(),
        NoText(),
        Hidden(),
        HostileNotes(),
        Said(),
        KeyError(HostileText("x" * 100_000)),
    ],
    ids=lambda each: type.__repr__(type(each)),
)
def test_no_exception_is_more_than_can_be_stored(error: BaseException) -> None:
    text = text_of(thrown, error)

    assert 0 < len(text) <= MAX_ERROR_CHARS
    assert text.encode().decode().replace("\0", "") == text
    assert text.count("\n") <= 20


def test_a_long_message_leaves_room_for_the_places() -> None:
    text = text_of(thrown, ValueError("x" * 10_000_000))

    assert text.startswith("ValueError: xxx")
    assert text.endswith("in text_of")


def test_a_deep_recursion_shows_its_bottom_once() -> None:
    _, *places = text_of(recurse, 500).splitlines()

    assert [each.partition(" in ")[2] for each in places] == ["recurse", "recurse", "text_of"]


def test_the_members_of_a_group_are_named() -> None:
    text = text_of(thrown, ExceptionGroup("both", [ValueError("one"), KeyError("two")]))

    assert text.splitlines()[0] == "ExceptionGroup: both (2 sub-exceptions)"
    assert text.splitlines()[-2:] == ["with ValueError: one", "with KeyError: two"]


def test_a_delay_that_is_refused_points_at_the_code_that_asked_for_it() -> None:
    def ask() -> None:
        Retry(after="9999999d")

    assert f"\n  at {HERE}:" in text_of(ask)
    assert "outcomes.py" not in text_of(ask)
