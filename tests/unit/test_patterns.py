"""Every pattern reads a megabyte of anything in time that grows with its length, not faster.

Patterns are found by looking at the code, so that a new one is read here as well.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest

from internal.adapters.http.faults import invalid
from internal.adapters.telemetry.secrecy import hidden, is_telling
from internal.domain.failures import READ_CHARS, normalised

ROOT: Final = Path(__file__).parents[2]
MEGABYTE: Final = 1024 * 1024
# The settings are an operator's own.
LAYERS: Final = ("domain", "services", "adapters")
# Those that never see more.
BOUNDED: Final = {"_VARIABLE": READ_CHARS}

# A text of one of these, repeated, is what a pattern that backtracks is slow at.
SHAPES: Final = (
    "a", "0", "-", " ", "\n", "/", ".", ":", "@", "'", "`", "[", "\0", "é", "a.", "a-", "a:", "a@",
    "/a", "0:", "[0", "://", "://a:", "a://a:b@", "eyJ", "eyJ-", "eyJ.", "eyJa.eyJ", "-eyJ",
    "bearer ", "http://", "status: ", "2026-01-01 ", "0123456789abcdef-", "password=", "token",
    " - at `$", " - at `key in $", "Object contains unknown field `", "Expected `", ", got `",
)  # fmt: skip
ENDS: Final = ("", "!", "@ `")

Read = Callable[[str], Any]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for layer in LAYERS:
        for file in sorted((ROOT / "internal" / layer).rglob("*.py")):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), ast.parse(file.read_text())


def calls_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """What is called as `name.method(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def patterns() -> Iterator[tuple[str, Read]]:
    """Each pattern, read in the way that its module reads it."""
    for module, tree in modules():
        values = vars(import_module(module))
        for name, method in sorted(set(calls_in(tree))):
            if isinstance(pattern := values.get(name), re.Pattern):
                read = getattr(pattern, method)
                read = partial(read, "") if method == "sub" else read
                yield f"{module}.{name}.{method}", as_text(pattern, read, BOUNDED.get(name))
        for name, value in values.items():
            for meta in get_args(value):
                if isinstance(meta, msgspec.Meta) and meta.pattern is not None:
                    yield f"{module}.{name}", re.compile(meta.pattern).search


def as_text(pattern: re.Pattern[Any], read: Read, most: int | None) -> Read:
    def read_text(text: str) -> Any:
        cut = text[:most]
        return read(cut.encode() if isinstance(pattern.pattern, bytes) else cut)  # type: ignore[arg-type]

    return read_text


def test_every_pattern_has_a_name_by_which_it_is_found_here() -> None:
    for module, tree in modules():
        made = {method for name, method in calls_in(tree) if name == "re"}
        assert made <= {"compile", "Match", "IGNORECASE", "VERBOSE", "DOTALL", "ASCII"}, module


def took(read: Read, text: str) -> float:
    began = time.process_time()
    read(text)
    return time.process_time() - began


def grows_with_its_length(read: Read) -> None:
    for shape in SHAPES:
        for end in ENDS:
            before = took(read, shape * (MEGABYTE // 64 // len(shape)) + end)
            if before < 0.002:
                continue  # what is quadratic takes a tenth of a second
            for part in (16, 4, 1):
                now = took(read, shape * (MEGABYTE // part // len(shape)) + end)
                assert now < max(8 * before, 0.25), (shape, end, part)
                before = now


@pytest.mark.parametrize("read", [pytest.param(read, id=name) for name, read in patterns()])
def test_a_megabyte_of_any_shape_is_read_in_time_that_grows_with_it(read: Read) -> None:
    grows_with_its_length(read)


@pytest.mark.parametrize("read", [hidden, partial(hidden, is_cut=True), is_telling, normalised])
def test_secrets_and_variables_are_found_in_time_that_grows_with_the_text(read: Read) -> None:
    grows_with_its_length(read)


def test_a_message_about_a_megabyte_is_short() -> None:
    for message in (
        "Object contains unknown field `" + "x" * MEGABYTE + "`",
        "Invalid enum value '" + " - at `$" * (MEGABYTE // 8) + "'",
        "Expected `str`, got `int` - at `$." + "x" * MEGABYTE + "`",
    ):
        assert len(str(invalid(message).details)) < 5_000
