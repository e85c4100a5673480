from __future__ import annotations

import pytest

from internal.domain.shares import fair_share, may_start, reserved_slots


@pytest.mark.parametrize(
    ("slots", "part", "reserved"),
    [(1, 0.1, 0), (2, 0.1, 1), (100, 0.1, 10), (100, 0.0, 1), (4, 0.9, 3), (2, 0.99, 1)],
)
def test_at_least_one_slot_is_reserved_and_one_is_not(
    slots: int, part: float, reserved: int
) -> None:
    assert reserved_slots(slots, part) == reserved


def test_a_lone_users_share_leaves_room_for_a_newcomer() -> None:
    assert fair_share(100, weight=1, weights=1) == 50


def test_shares_go_by_weight() -> None:
    assert fair_share(100, weight=3, weights=4) == 3 * fair_share(100, weight=1, weights=4)


def test_all_users_at_their_share_leave_a_slot_when_there_are_more_slots_than_users() -> None:
    for users in range(1, 10):
        assert users * fair_share(10, weight=1, weights=users) < 10


@pytest.mark.parametrize(("free", "running"), [(1, 0), (1, 1), (2, 1), (3, 90)])
def test_who_runs_less_than_their_share_may_start_and_anyone_outside_the_reserve(
    free: int, running: int
) -> None:
    assert may_start(free=free, reserve=2, running=running, share=2.0)


@pytest.mark.parametrize(("free", "running"), [(0, 0), (1, 2), (2, 2), (2, 90)])
def test_nobody_starts_without_a_slot_or_above_their_share_on_the_reserve(
    free: int, running: int
) -> None:
    assert not may_start(free=free, reserve=2, running=running, share=2.0)
