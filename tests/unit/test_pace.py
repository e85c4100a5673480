from __future__ import annotations

import pytest

from internal.services.worker.pace import HORIZON_S, LEAST_S, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def steady(slots: int, seconds_each: float, per_second: float, seconds: float = 1) -> Pace:
    """The pace after jobs that each took so long have ended for so long."""
    clock = Clock()
    pace = Pace(slots, clock)
    for number in range(int(per_second * seconds)):
        clock.now = 10 + number / per_second
        pace.note(clock.now - seconds_each, clock.now)
        pace.expected()
    return pace


@pytest.mark.parametrize("seconds", [0.02, HORIZON_S, 1])
def test_short_jobs_are_expected_by_the_measured_rate(seconds: float) -> None:
    expected = steady(100, 0.000_01, 20_000, seconds).expected()

    assert expected == pytest.approx(20_000 * HORIZON_S, rel=0.02)


def test_a_silence_is_no_part_of_the_rate() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    for start in (1.0, 5.0):
        for number in range(200):
            clock.now = start + number / 10_000
            pace.note(clock.now, clock.now)
            pace.expected()

    assert pace.expected() == pytest.approx(10_000 * HORIZON_S, rel=0.02)


def test_the_first_ends_say_little_about_a_rate() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    for _ in range(10):
        pace.note(0.0, 0.0)

    assert pace.expected() < 10 * (1 + HORIZON_S / LEAST_S)


def test_before_anything_ended_nothing_is_expected() -> None:
    assert Pace(100).expected() == 0


def test_long_jobs_that_end_together_do_not_pass_for_a_rate() -> None:
    clock = Clock()
    clock.now = 60
    pace = Pace(100, clock)
    for _ in range(100):
        pace.note(0, 60)

    assert pace.expected() == 0


def test_jobs_longer_than_the_horizon_are_expected_by_littles_law() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    for wave in range(1, 5):
        clock.now = wave * 0.15
        for _ in range(100):
            pace.note(clock.now - 0.15, clock.now)

        assert pace.expected() == pytest.approx(100 * HORIZON_S / 0.15, rel=0.02)


def test_what_is_expected_fades_with_silence() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    for _ in range(1000):
        pace.note(0, 0)
    assert pace.expected() >= 1000

    clock.now = 10 * HORIZON_S

    assert pace.expected() == 0
