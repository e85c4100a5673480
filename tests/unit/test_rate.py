from __future__ import annotations

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from internal.services.rate import BURST_S, RequestRate, Standing


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_user_hears_what_is_left_and_when_to_come_again() -> None:
    clock, user = Clock(), uuid4()
    rate = RequestRate(1, now=clock)
    assert rate.take(user) == Standing(limit=2, remaining=1, reset_s=1, retry_after_s=None)
    assert rate.take(user) == Standing(limit=2, remaining=0, reset_s=2, retry_after_s=None)
    assert rate.take(user) == Standing(limit=2, remaining=0, reset_s=2, retry_after_s=1)
    clock.now += 1.0
    assert rate.take(user).retry_after_s is None
    assert rate.take(user).retry_after_s == 1


def test_each_user_has_a_limit_of_their_own() -> None:
    rate = RequestRate(1, now=Clock())
    one, other = uuid4(), uuid4()
    while rate.take(one).retry_after_s is None:
        pass
    assert rate.take(other).retry_after_s is None


@given(st.integers(1, 50), st.lists(st.sampled_from([0.0, 0.001, 0.125, 1.0, 3.0]), max_size=200))
def test_no_more_pass_than_the_rate_and_one_burst(per_s: int, pauses: list[float]) -> None:
    clock, user, passed = Clock(), uuid4(), 0
    rate = RequestRate(per_s, now=clock)
    for pause in pauses:
        clock.now += pause
        standing = rate.take(user)
        passed += standing.retry_after_s is None
        assert 0 <= standing.remaining < standing.limit
        assert passed <= per_s * (BURST_S + clock.now - 100.0) + 1e-6


def test_users_who_went_away_are_forgotten_and_those_at_their_limit_are_not() -> None:
    clock, busy = Clock(), uuid4()
    rate = RequestRate(1, now=clock)
    for _ in range(1000):
        rate.take(uuid4())
    clock.now += 2 * BURST_S
    while rate.take(busy).retry_after_s is None:
        pass
    assert len(rate) == 1
    clock.now += 0.5
    assert rate.take(busy).retry_after_s is not None
