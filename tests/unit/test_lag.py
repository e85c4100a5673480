from __future__ import annotations

from internal.services.worker.lag import Lag


def test_the_longest_delay_is_told_once() -> None:
    now = 100.0
    lag = Lag(clock=lambda: now)
    for late in (0.1, 0.4, 0.2):
        lag.note(late)

    assert lag.take_ms() == 400
    assert lag.take_ms() == 0


def test_a_delay_that_still_lasts_counts() -> None:
    now = 100.0
    lag = Lag(clock=lambda: now)
    now = 103.05

    assert lag.take_ms() == 3000
