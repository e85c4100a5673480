"""A line of the log is never long, takes no time to speak of, and keeps no secret."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from internal.adapters.telemetry import configure_logging
from internal.adapters.telemetry.bounds import MAX_LINE_BYTES

LONG = 10_000_000
_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


class Logged(Protocol):
    def __call__(self, *, as_json: bool) -> io.StringIO: ...


@pytest.fixture
def logged() -> Iterator[Logged]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def configure(*, as_json: bool) -> io.StringIO:
        stream = io.StringIO()
        configure_logging("worker", as_json=as_json, stream=stream)
        return stream

    yield configure
    root.handlers, root.level = handlers, level


class Unsayable:
    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class Wordless(Exception):
    def __str__(self) -> str:
        raise SystemExit


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"in": value}
    return value


def a_list_that_holds_itself() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "extra",
    [
        {"text": "x" * LONG},
        {"text": "\0" * LONG},
        {"text": "\U0001f600" * LONG},
        {f"name {number}": "x" * 10_000 for number in range(1_000)},
        {"n" * LONG: 1},
        {"rows": [["x" * 1_000] * 1_000] * 1_000},
        {"deep": deep(10_000)},
        {"loop": a_list_that_holds_itself()},
        {"number": 10**100_000},
        {"unsayable": Unsayable(), "in": [Unsayable(), {"key": Unsayable()}]},
        {"bytes": b"x" * LONG},
    ],
    ids=lambda each: next(iter(each))[:10],
)
def test_whatever_a_record_carries_its_line_is_bounded(
    logged: Logged, extra: dict[str, Any], *, as_json: bool
) -> None:
    stream = logged(as_json=as_json)

    logging.getLogger(__name__).warning("noted", extra=extra)

    line = stream.getvalue()
    assert "noted" in line
    assert len(line.encode()) <= MAX_LINE_BYTES
    if as_json:
        assert json.loads(line)["event"] == "noted"


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("message", ["x" * LONG, "%s", "%d", "\ud800" * LONG])
def test_whatever_a_record_says_its_line_is_bounded(
    logged: Logged, message: str, *, as_json: bool
) -> None:
    stream = logged(as_json=as_json)

    logging.getLogger(__name__).warning(message, *([Unsayable()] if "%" in message else []))

    line = stream.getvalue()
    assert 0 < len(line.encode(errors="replace")) <= MAX_LINE_BYTES
    assert ("a log record cannot be written" in line) == ("%" in message)


def chained(length: int) -> BaseException:
    error: BaseException = ValueError("first")
    for number in range(length):
        later = ValueError(f"number {number}")
        later.__cause__ = error
        error = later
    return error


def recurse(depth: int) -> None:
    if depth == 0:
        raise ValueError("at the bottom")
    recurse(depth - 1)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("x" * LONG),
        ValueError("://" + "a:" * (LONG // 2)),
        ExceptionGroup("many", [ValueError("m" * 1_000)] * 10_000),
        chained(1_000),
        Wordless(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_line_of_an_exception_is_bounded(
    logged: Logged, error: BaseException, *, as_json: bool
) -> None:
    stream = logged(as_json=as_json)

    try:
        raise error  # noqa: TRY301 - as a handler raises it
    except Exception:
        logging.getLogger(__name__).exception("went wrong")

    line = stream.getvalue()
    assert "Traceback" in line
    assert type(error).__name__ in line
    assert len(line.encode()) <= MAX_LINE_BYTES


def test_of_a_deep_recursion_the_innermost_frames_are_written(logged: Logged) -> None:
    stream = logged(as_json=True)

    try:
        recurse(500)
    except ValueError:
        logging.getLogger(__name__).exception("went wrong")

    text = json.loads(stream.getvalue())["exception"]
    assert "Previous line repeated 16 more times" in text
    assert text.endswith("ValueError: at the bottom")


@pytest.mark.parametrize(
    "secret",
    [
        "Bearer hunter2",
        "postgresql://ada:hunter2@db/jobs",
        "redis://:hunter2@cache",
        "amqp://a:b/hunter2@mq and postgresql://ada:hunter2@db",
        f"decoding {_JWT}",
        f"decoding token.{_JWT}.more",
        f"-{_JWT}",
    ],
)
@pytest.mark.parametrize("before", [0, 9_985, 9_990, 9_995, 9_999])
def test_a_secret_near_the_cut_is_hidden(logged: Logged, secret: str, before: int) -> None:
    stream = logged(as_json=True)

    logging.getLogger(__name__).warning("%s %s", "x" * before, secret)

    line = json.loads(stream.getvalue())["event"]
    for part in ("hunter2", "hunt", "eyJzdWIi", "c2lnbmF0"):
        assert part not in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("www.example.com/keyJoin.html", "www.example.com/keyJoin.html"),
        ("http://example.com/a@b:c", "http://example.com/a@b:c"),
        ("at http://example.com: no answer", "at http://example.com: no answer"),
        ("mail ada@example.com", "mail ada@example.com"),
    ],
)
def test_what_is_no_secret_is_written(logged: Logged, text: str, shown: str) -> None:
    stream = logged(as_json=True)

    logging.getLogger(__name__).warning(text)

    assert json.loads(stream.getvalue())["event"] == shown


@pytest.mark.parametrize(
    "extra",
    [
        {"authorization": b"hunter2"},
        {"cookies": {"session": "hunter2"}},
        {"tokens": ["hunter2", ["hunter2"]]},
        {"refresh_token": ("hunter2",)},
    ],
)
def test_what_a_telling_name_holds_is_hidden(logged: Logged, extra: dict[str, Any]) -> None:
    stream = logged(as_json=True)

    logging.getLogger(__name__).warning("refused", extra=extra)

    assert "hunter2" not in stream.getvalue()


@pytest.mark.parametrize("shape", ["://a:", "eyJ-", "a://a:", "bearer ", "a.", "/@:"])
def test_a_hostile_megabyte_is_written_at_once(logged: Logged, shape: str) -> None:
    stream = logged(as_json=True)
    text = shape * (1_000_000 // len(shape))

    began = time.process_time()
    logging.getLogger(__name__).warning("refused %s", text, extra={"origin": text, "more": [text]})

    assert time.process_time() - began < 1
    assert len(stream.getvalue()) <= MAX_LINE_BYTES
