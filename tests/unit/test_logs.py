from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

import pytest

from internal.adapters.telemetry import LineWriter, configure_logging
from internal.adapters.telemetry.requests import JsonRequestLog, TextRequestLog
from tests.support.conditions import eventually
from tests.support.pipes import Pipe

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


def test_json_lines_carry_what_the_code_said(logged: Logged) -> None:
    stream = logged(as_json=True)

    logging.getLogger("internal.services.claims").warning("claimed %d", 7, extra={"queue": "mail"})

    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "claimed 7",
        "queue": "mail",
        "level": "warning",
        "logger": "internal.services.claims",
        "process": "worker",
    }


def test_text_is_one_plain_line(logged: Logged) -> None:
    stream = logged(as_json=False)

    logging.getLogger(__name__).info("claimed", extra={"queue": "mail"})

    assert stream.getvalue().rstrip().endswith("[info] claimed [worker] queue=mail")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("message", "extra"),
    [
        ("refused", {"authorization": "hunter2"}),
        ("refused", {"headers": {"Authorization": "Bearer hunter2", "Cookie": "hunter2"}}),
        ("refused", {"refresh_token": "hunter2"}),
        ("refused Authorization: Bearer hunter2", {}),
        ("cannot connect to postgresql://ada:hunter2@db/jobs", {}),
        (f"decoding {_JWT}", {}),
    ],
)
def test_secrets_are_not_written(
    logged: Logged,
    *,
    as_json: bool,
    message: str,
    extra: dict[str, Any],
) -> None:
    stream = logged(as_json=as_json)

    logging.getLogger(__name__).error(message, extra=extra)

    assert "***" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert _JWT not in stream.getvalue()


def test_a_secret_in_a_traceback_is_not_written(logged: Logged) -> None:
    stream = logged(as_json=True)

    try:
        raise OSError("no route to postgresql://ada:hunter2@db/jobs")  # noqa: TRY301
    except OSError:
        logging.getLogger(__name__).exception("lost the database")

    line = json.loads(stream.getvalue())
    assert "OSError: no route to postgresql://***@db/jobs" in line["exception"]


async def test_the_line_of_a_request_is_the_one_that_logging_would_write(logged: Logged) -> None:
    stream, pipe = logged(as_json=True), Pipe()
    direct = JsonRequestLog("internal.adapters.http.frame", "worker", LineWriter(pipe.inlet))

    for log in (TextRequestLog("internal.adapters.http.frame"), direct):
        log.note("POST", "/v1/jobs", 201, 1.2, "01980000-0000-7000-8000-000000000000")
    direct.flush()
    await eventually(pipe.has_line)

    lines = [json.loads(stream.getvalue()), json.loads(pipe.text)]
    assert [list(line) for line in lines] == [list(lines[0])] * 2
    for line in lines:
        datetime.fromisoformat(line.pop("timestamp"))
    assert lines[0] == lines[1]


async def test_the_lines_of_requests_are_soon_written() -> None:
    pipe = Pipe()
    log = JsonRequestLog("frame", "api", LineWriter(pipe.inlet))
    for number in range(100):
        log.note("GET", "/v1/jobs", 200, 0.1, f"request-{number}")
    await eventually(lambda: pipe.has_line() and pipe.text.count("\n") == 100)

    lines = [json.loads(line) for line in pipe.text.splitlines()]
    assert [line["request_id"] for line in lines] == [f"request-{n}" for n in range(100)]
