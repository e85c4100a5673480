from __future__ import annotations

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from internal.services.allowance import RESYNC_EVERY_S, Allowance, Resyncs


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0.0, 0.125, 1.0, 100.0]))))
def test_an_allowance_never_lets_more_through_than_it_says(wishes: list[tuple[int, float]]) -> None:
    allowance, now, through = Allowance(per_s=40, at_once=50), 0.0, 0
    for events, later in wishes:
        now += later
        through += events if allowance.allows(events, now) else 0
        assert through <= 50 + 40 * now


def test_an_allowance_recovers_and_what_is_too_much_leaves_it_to_others() -> None:
    allowance = Allowance(per_s=40, at_once=50)
    assert allowance.allows(50, now=0.0)
    assert not allowance.allows(1, now=0.0)
    assert not allowance.allows(21, now=0.5)
    assert allowance.allows(20, now=0.5)
    assert not allowance.allows(51, now=100.0)


def test_a_resync_is_told_at_once_and_then_once_a_second() -> None:
    resyncs, user_id = Resyncs(), uuid4()
    assert resyncs.next_in(0.0) is None
    resyncs.ask([user_id])
    assert resyncs.take(5.0) == [user_id]
    resyncs.ask([user_id])
    resyncs.ask([user_id])
    assert resyncs.take(5.5) == []
    assert resyncs.next_in(5.5) == RESYNC_EVERY_S - 0.5
    assert resyncs.take(6.0) == [user_id]
    assert resyncs.take(60.0) == []
