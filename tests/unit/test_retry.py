"""How long a failed job waits."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from internal.domain.retry import Backoff, Strategy
from internal.domain.submission import MAX_DELAY_MS, default_backoff

delays_ms = st.integers(1, MAX_DELAY_MS)
shares = st.floats(0, 1)
spreads = st.floats(0, 1, exclude_max=True)
backoffs = st.builds(Backoff, st.sampled_from(Strategy), delays_ms, delays_ms, shares)


def test_the_defaults_wait_2_then_4_seconds() -> None:
    backoff = default_backoff(Strategy.EXPONENTIAL, timedelta(seconds=2), timedelta(seconds=60))
    waits = [backoff.delay(attempts) for attempts in range(1, 8)]
    assert waits == [timedelta(seconds=each) for each in (2, 4, 8, 16, 32, 60, 60)]


@given(delays_ms, delays_ms, st.integers(1, 100))
def test_exponential_doubles_up_to_its_maximum(base: int, maximum: int, attempts: int) -> None:
    wait = Backoff(Strategy.EXPONENTIAL, base, maximum).delay(attempts)
    assert wait == timedelta(milliseconds=min(maximum, base * 2 ** (attempts - 1)))


@given(delays_ms, delays_ms, st.integers(1, 100))
def test_fixed_always_waits_its_base(base: int, maximum: int, attempts: int) -> None:
    wait = Backoff(Strategy.FIXED, base, maximum).delay(attempts)
    assert wait == timedelta(milliseconds=base)


@given(backoffs, st.integers(1, 100), spreads)
def test_jitter_only_shortens_and_by_no_more_than_its_share(
    backoff: Backoff, attempts: int, spread: float
) -> None:
    whole = Backoff(backoff.strategy, backoff.base_ms, backoff.max_ms).delay(attempts)
    least = whole * (1 - backoff.jitter) - timedelta(milliseconds=1)
    assert least <= backoff.delay(attempts, spread) <= whole


@given(backoffs, st.integers(1, 99))
def test_a_later_failure_never_waits_less(backoff: Backoff, attempts: int) -> None:
    assert backoff.delay(attempts) <= backoff.delay(attempts + 1)
