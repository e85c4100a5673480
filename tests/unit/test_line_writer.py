from __future__ import annotations

import os
import re
from select import PIPE_BUF

from internal.adapters.telemetry import LineWriter
from tests.support.conditions import eventually
from tests.support.pipes import Pipe


def a_writer(pipe: Pipe) -> LineWriter:
    return LineWriter(pipe.inlet, dropped=lambda count: f"{count} dropped\n".encode())


async def test_lines_arrive_in_order_and_none_is_torn() -> None:
    pipe = Pipe()
    writer = a_writer(pipe)
    for number in range(2000):
        writer.put(f"line {number}\n".encode())
    await eventually(lambda: pipe.read().count("\n") == 2000)

    assert pipe.text.splitlines() == [f"line {number}" for number in range(2000)]


async def test_a_pipe_that_is_not_read_drops_lines_and_counts_them() -> None:
    pipe = Pipe()
    writer = LineWriter(
        pipe.inlet, max_waiting=40 * PIPE_BUF, dropped=lambda n: f"{n} dropped\n".encode()
    )
    line = b"x" * (PIPE_BUF // 2 - 1) + b"\n"
    for _ in range(500):
        writer.put(line)
    assert not writer.flush(0.05), "nothing reads"

    await eventually(lambda: "dropped" in pipe.read())
    await eventually(lambda: pipe.has_line() and writer.flush(0) and pipe.has_line())

    counts = map(int, re.findall(r"(\d+) dropped", pipe.text))
    assert pipe.text.count("x\n") + sum(counts) == 500


async def test_lines_that_nothing_can_read_any_more_are_dropped_without_a_fault() -> None:
    pipe = Pipe()
    pipe.close()
    writer = a_writer(pipe)

    writer.put(b"lost\n")

    assert writer.flush(30)


async def test_a_full_disk_drops_lines_and_they_flow_again() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    pipe = Pipe()
    writer = LineWriter(full, dropped=lambda count: f"{count} dropped\n".encode())
    writer.put(b"lost\n")
    assert writer.flush(30)
    os.dup2(pipe.inlet, full)  # there is room again

    writer.put(b"kept\n")
    await eventually(lambda: "dropped" in pipe.read())

    assert pipe.text == "kept\n1 dropped\n"


async def test_a_pipe_that_another_made_non_blocking_loses_nothing() -> None:
    pipe = Pipe()
    os.set_blocking(pipe.inlet, False)
    writer = a_writer(pipe)
    line = b"x" * (PIPE_BUF - 1) + b"\n"
    for _ in range(100):
        writer.put(line)

    await eventually(lambda: len(pipe.read()) == 100 * PIPE_BUF)


async def test_a_line_longer_than_the_room_is_written_when_it_is_alone() -> None:
    pipe = Pipe()
    writer = LineWriter(pipe.inlet, max_waiting=10)

    writer.put(b"longer than ten\n")
    await eventually(pipe.has_line)

    assert pipe.text == "longer than ten\n"


async def test_a_standard_stream_that_a_handler_closes_stays_open_for_lines() -> None:
    pipe = Pipe()
    before = os.dup(2)
    try:
        os.dup2(pipe.inlet, 2)
        writer = LineWriter(2)
        other, outlet = os.pipe()
        os.dup2(outlet, 2)  # what is opened next takes the number of what was closed
        writer.put(b"a line\n")
        assert writer.flush(30)
    finally:
        os.dup2(before, 2)
    os.close(outlet)

    await eventually(lambda: pipe.read() == "a line\n")
    assert os.read(other, 1) == b""
