from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, TypedDict

import msgspec
import pytest

from internal.domain.errors import UnavailableError, ValidationError
from internal.domain.inputs import input_of
from internal.services.readers import Readers


class Plain(msgspec.Struct):
    name: str
    parts: list[Plain] = []
    size: Annotated[int, msgspec.Meta(ge=0)] = 1


class Checked(msgspec.Struct):
    name: str

    def __post_init__(self) -> None:
        raise SystemExit


class Around(TypedDict):
    parts: dict[str, list[Checked | None]]


@dataclass
class Usual:
    names: list[str] = field(default_factory=list)


@dataclass
class Hooked:
    name: str

    def __post_init__(self) -> None: ...


@dataclass
class Made:
    name: str = field(default_factory=lambda: "made")


class Color(Enum):
    RED = "red"


class Guessed(Enum):
    RED = "red"

    @classmethod
    def _missing_(cls, _value: object) -> Guessed:
        return cls.RED


class Painted(msgspec.Struct):
    color: Color


class Repainted(msgspec.Struct):
    color: Guessed


@pytest.mark.parametrize(
    ("type_", "runs_code"),
    [
        (dict, False),
        (Plain, False),
        (Usual, False),
        (Painted, False),
        (Checked, True),
        (Around, True),
        (Hooked, True),
        (Made, True),
        (Repainted, True),
    ],
)
def test_an_input_is_known_by_whether_code_of_its_author_reads_it(
    type_: Any, *, runs_code: bool
) -> None:
    assert input_of(type_).runs_code is runs_code


async def test_a_plain_type_is_read_on_the_event_loop_and_another_in_a_thread() -> None:
    assert await Readers().run((), threading.get_ident) == threading.get_ident()
    assert await Readers().run(("hooked",), threading.get_ident) != threading.get_ident()


async def test_what_a_read_raises_is_raised() -> None:
    def fail() -> None:
        raise ValidationError("no")

    with pytest.raises(ValidationError, match="no"):
        await Readers().run(("hooked",), fail)


async def test_a_type_whose_input_never_ends_is_refused_and_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    readers, never = Readers(longest_s=0.05, threads_a_type=1), threading.Event()
    read: Callable[[], object] = never.wait
    with pytest.raises(ValidationError, match="payload is not read within"):
        await readers.run(("stuck",), read)
    with pytest.raises(UnavailableError, match="type stuck"):
        await readers.run(("stuck",), read)

    assert [each.types for each in caplog.records if hasattr(each, "types")] == [["stuck"]]
    assert await Readers(longest_s=60).run(("other",), lambda: 1) == 1
    never.set()
    assert await Readers(longest_s=60).run(("stuck",), lambda: 2) == 2
