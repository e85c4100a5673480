from __future__ import annotations

from internal.services.worker.pace import HORIZON_S, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def steady(slots: int, seconds_each: float, per_second: float) -> Pace:
    """The pace after a second of jobs that each took so long."""
    clock = Clock()
    pace = Pace(slots, clock)
    for number in range(int(per_second)):
        clock.now = number / per_second
        pace.note(seconds_each)
        pace.expected()
    return pace


def test_short_jobs_are_expected_by_the_measured_rate() -> None:
    expected = steady(100, 0.000_01, 20_000).expected()

    assert abs(expected - 20_000 * HORIZON_S) < 0.02 * 20_000 * HORIZON_S


def test_before_anything_ended_nothing_is_expected() -> None:
    assert Pace(100).expected() == 0


def test_long_jobs_that_end_together_do_not_pass_for_a_rate() -> None:
    pace = Pace(100, Clock())
    for _ in range(100):
        pace.note(60)

    assert pace.expected() == 0


def test_what_is_expected_fades_with_silence() -> None:
    clock = Clock()
    pace = Pace(100, clock)
    for _ in range(1000):
        pace.note(0)
    assert pace.expected() == 1000

    clock.now = 10 * HORIZON_S

    assert pace.expected() == 0
