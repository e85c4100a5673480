"""What handlers print does not wait for who reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from internal.adapters.telemetry import PrintedText
from tests.support.conditions import eventually
from tests.support.pipes import Pipe


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.inlet)
    made.close()


def test_what_is_printed_arrives_in_order(pipe: Pipe) -> None:
    text = PrintedText(pipe.inlet)
    print("one", "line", file=text)
    print("without an end", end="", file=text)
    text.drain()

    assert pipe.read() == "one line\nwithout an end"


async def test_a_pipe_that_nothing_reads_takes_what_fits_and_holds_nobody_up(pipe: Pipe) -> None:
    text = PrintedText(pipe.inlet)
    for number in range(300):
        print(f"{number:0>20000}", file=text)
    text.write("x" * 10_000_000)
    text.buffer.write(b"y" * 10_000_000)

    # To its end: else the writer would go on into what takes the pipe's number next.
    await eventually(lambda: bool(pipe.read()) and text.drain(0.01))
    assert pipe.text.startswith("0" * 20_000 + "\n")


def test_a_surrogate_is_written_as_an_escape(pipe: Pipe) -> None:
    text = PrintedText(pipe.inlet)
    print("\ud800", file=text)
    text.drain()

    assert pipe.read() == "\\ud800\n"
