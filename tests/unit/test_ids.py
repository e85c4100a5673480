from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from internal.domain.ids import FURTHEST_AHEAD, IdGenerator, new_id

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Monotonic:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def passes(self, by: timedelta) -> None:
        self.ns += by // timedelta(microseconds=1) * 1000


def time_of(made: UUID) -> datetime:
    return datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)


def test_ids_are_uuids_of_version_7_in_order() -> None:
    made = [new_id() for _ in range(10_000)]

    assert made == sorted(set(made))
    assert {each.version for each in made} == {7}
    assert {each.variant for each in made} == {"specified in RFC 4122"}


def test_an_id_has_the_time_that_the_generator_follows() -> None:
    clock = Monotonic()
    ids = IdGenerator(clock)

    ids.follow(NOW)
    clock.passes(timedelta(minutes=3))

    assert time_of(ids()) == NOW + timedelta(minutes=3)


@pytest.mark.parametrize("off", [timedelta(days=20), timedelta(days=-40), timedelta(days=5)])
def test_a_generator_comes_back_from_a_wrong_time(off: timedelta) -> None:
    ids = IdGenerator(Monotonic())
    ids.follow(NOW + off)
    ids()

    ids.follow(NOW)

    assert time_of(ids()) == NOW


def test_ids_stay_in_order_when_the_time_is_set_back_a_little() -> None:
    ids = IdGenerator(Monotonic())
    ids.follow(NOW)
    before = ids()

    ids.follow(NOW - timedelta(seconds=9))
    after = [ids() for _ in range(100)]

    assert [before, *after] == sorted({before, *after})
    assert time_of(after[-1]) - NOW < timedelta(seconds=1)


def test_a_burst_within_one_instant_stays_in_order() -> None:
    ids = IdGenerator(Monotonic())
    ids.follow(NOW)

    made = [ids() for _ in range(5_000)]

    assert made == sorted(set(made))
    assert time_of(made[-1]) - NOW < FURTHEST_AHEAD


def test_two_processes_that_seed_the_shared_random_numbers_make_different_ids() -> None:
    clock = Monotonic()
    made = set()
    for _ in range(2):
        random.seed(1)
        ids = IdGenerator(clock)
        ids.follow(NOW)
        made |= {ids() for _ in range(100)}

    assert len(made) == 200
