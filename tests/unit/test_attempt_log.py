from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.domain.attempt_log import (
    LINES_AT_ONCE,
    LINES_PER_S,
    MAX_LINE_CHARS,
    MAX_LINES,
    MAX_NOTE_CHARS,
    clean,
    dropped_line,
    shortened,
)
from internal.services.worker.attempt_log import AttemptLog
from internal.services.worker.running import Running
from tests.support.work import Process, a_claimed_job


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.text(st.characters()), st.integers(1, 20))
def test_shortened_text_fits_and_can_be_stored(text: str, most: int) -> None:
    kept = shortened(text, most)
    assert len(kept) <= most
    assert "\0" not in kept
    assert kept.encode().decode() == kept
    if len(text) <= most:
        assert kept == clean(text)
    else:
        assert kept == clean(text[: most - 1]) + "…"


def test_a_log_keeps_so_many_lines_and_says_how_many_more_there_were() -> None:
    clock = Clock()
    log = AttemptLog(clock)
    for number in range(MAX_LINES + 7):
        clock.now += 1 / LINES_PER_S
        log.add(f"line {number}")

    kept = log.close()

    assert [line.text for line in kept[:-1]] == [f"line {n}" for n in range(MAX_LINES)]
    assert kept[-1].text == dropped_line(7)
    assert [line.number for line in kept] == list(range(1, MAX_LINES + 2))
    assert kept[4].logged == pytest.approx(5 / LINES_PER_S)


def test_a_log_keeps_so_many_lines_at_once_and_then_so_many_a_second() -> None:
    clock = Clock()
    log = AttemptLog(clock)
    for _ in range(LINES_AT_ONCE + 5):
        log.add("at once")
    clock.now += 0.5
    for _ in range(LINES_PER_S):
        log.add("later")

    kept = [line.text for line in log.close()]

    later = LINES_PER_S // 2
    assert kept == [*["at once"] * LINES_AT_ONCE, *["later"] * later, dropped_line(5 + later)]


def test_a_log_that_lost_nothing_ends_with_its_last_line() -> None:
    log = AttemptLog()
    log.add("the only one")
    assert [line.text for line in log.close()] == ["the only one"]


def test_lines_stay_until_they_are_known_to_be_written() -> None:
    log = AttemptLog()
    for number in range(3):
        log.add(str(number))
    under_way = log.unwritten()
    log.add("3")

    log.written(under_way[-1].number)

    assert [line.text for line in log.unwritten()] == ["3"]


def test_a_closed_log_takes_no_line_and_closes_again_as_before() -> None:
    log = AttemptLog()
    for _ in range(LINES_AT_ONCE + 1):
        log.add("line")
    first = log.close()
    log.add("of a thread that nobody waits for any more")

    assert log.close() == first
    assert (
        first[-1].text
        == dropped_line(1)
        == "1 line was dropped: an attempt may log 1,000 lines, 100 in a second"
    )


async def an_attempt() -> Running:
    process = Process()
    identity = await process.heart.begin()
    process.slots.buffer.put(identity, [a_claimed_job()])
    running = process.slots.buffer.pop(1)
    assert running is not None
    return running


async def test_threads_that_log_at_once_share_one_log() -> None:
    running = await an_attempt()

    def write(name: int) -> None:
        for number in range(10):
            running.log(f"{name} {number}")

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(write, range(10)))

    lines = running.last_lines()
    assert [line.number for line in lines] == list(range(1, 101))
    for name in range(10):
        own = [line.text for line in lines if line.text.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(10)]


async def test_anything_can_be_logged_and_long_lines_are_cut() -> None:
    running = await an_attempt()
    running.log(ValueError("as it prints"))
    running.log("two\nlines")
    running.log("x" * (MAX_LINE_CHARS + 1))

    texts = [line.text for line in running.last_lines()]

    assert texts == ["as it prints", "two\nlines", "x" * (MAX_LINE_CHARS - 1) + "…"]


async def test_a_note_stays_until_the_next_one() -> None:
    running = await an_attempt()
    running.progress(0.1)
    assert running.report is not None
    assert running.report.note is None
    running.progress(0.2, "n" * (MAX_NOTE_CHARS + 1))
    running.progress(2.0)

    assert running.report.share == 1.0
    assert running.report.note == "n" * (MAX_NOTE_CHARS - 1) + "…"
