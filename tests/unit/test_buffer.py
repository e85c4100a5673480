from __future__ import annotations

from random import Random
from uuid import UUID

import pytest

from internal.domain.ids import new_id
from internal.domain.ports.work import ClaimedJob
from internal.domain.shares import fair_share, may_start
from internal.services.worker.buffer import Buffer
from internal.services.worker.running import Identity, Running
from tests.support.work import a_claimed_job

SLOTS = 10
ALL = 100
"""So many free slots that the reserve does not matter."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def a_buffer(*jobs: ClaimedJob) -> Buffer:
    buffer = Buffer(SLOTS, reserve=0.2)
    buffer.put(Identity(), jobs)
    return buffer


def started(buffer: Buffer, times: int, free: int = ALL) -> list[Running]:
    taken = [buffer.pop(free) for _ in range(times)]
    return [each for each in taken if each is not None]


def jobs_of(user_id: UUID, *tags: float, weight: float = 1.0) -> list[ClaimedJob]:
    return [a_claimed_job(user_id=user_id, tag=tag, weight=weight) for tag in tags]


def test_jobs_start_by_tag_over_all_users_and_claims() -> None:
    heavy, light = new_id(), new_id()
    buffer = a_buffer(*jobs_of(heavy, 1, 3, 5))
    buffer.put(Identity(), jobs_of(light, 2, 4))

    assert [each.job.tag for each in started(buffer, 6)] == [1, 2, 3, 4, 5]
    assert len(buffer) == 0


def test_a_users_own_jobs_start_in_the_order_they_were_claimed() -> None:
    jobs = jobs_of(new_id(), 2, 1, 3)

    assert [each.job for each in started(a_buffer(*jobs), 3)] == jobs


def test_no_slot_starts_nothing() -> None:
    assert a_buffer(a_claimed_job()).pop(0) is None


def test_the_reserve_passes_over_who_runs_their_share() -> None:
    greedy, other = new_id(), new_id()
    buffer = a_buffer(*jobs_of(greedy, *range(10)), *jobs_of(other, 100))
    started(buffer, 8)

    (first,) = started(buffer, 2, free=2)

    assert first.job.user_id == other
    assert buffer.above_share() == [greedy]
    assert len(buffer) == 2


def test_who_runs_less_than_their_share_starts_on_the_reserve_in_fair_order() -> None:
    a, b = new_id(), new_id()
    buffer = a_buffer(*jobs_of(a, 2, 4), *jobs_of(b, 1, 3))

    assert [each.job.tag for each in started(buffer, 4, free=1)] == [1, 2, 3, 4]


def test_an_end_gives_a_user_room_again() -> None:
    greedy = new_id()
    buffer = a_buffer(*jobs_of(greedy, *range(6)))
    running = started(buffer, 5)
    assert buffer.pop(1) is None

    buffer.ended(running[0])

    assert buffer.pop(1) is not None


def test_a_share_goes_by_weight() -> None:
    heavy, light = new_id(), new_id()
    buffer = a_buffer(*jobs_of(heavy, *range(10), weight=3), *jobs_of(light, *range(10)))

    running = started(buffer, 20, free=1)

    users = [each.job.user_id for each in running]
    assert (users.count(heavy), users.count(light)) == (6, 2)


def test_who_has_left_counts_towards_no_share() -> None:
    gone, here = new_id(), new_id()
    buffer = a_buffer(*jobs_of(gone, 0, weight=0.1))
    (running,) = started(buffer, 1)
    buffer.ended(running)
    buffer.put(Identity(), jobs_of(here, *range(10)))

    assert len(started(buffer, 10, free=1)) == 5, "half of the slots, as of anyone who is alone"


@pytest.fixture
def two_names() -> tuple[Buffer, Identity, Identity]:
    buffer, first, second = Buffer(SLOTS, reserve=0.2), Identity(), Identity()
    user = new_id()
    buffer.put(first, jobs_of(user, 1, 2))
    buffer.put(second, jobs_of(user, 3))
    return buffer, first, second


def test_what_waits_under_one_name_is_taken_out_alone(
    two_names: tuple[Buffer, Identity, Identity],
) -> None:
    buffer, first, second = two_names

    taken = buffer.take_held_under(first)

    assert [each.job.tag for each in taken] == [1, 2]
    assert (len(first.held), len(second.held), len(buffer)) == (0, 1, 1)
    assert [each.job.tag for each in started(buffer, 2)] == [3]


def test_single_jobs_are_taken_out_and_the_others_stay_in_order(
    two_names: tuple[Buffer, Identity, Identity],
) -> None:
    buffer, first, _ = two_names
    ids = frozenset({next(iter(first.held)), new_id()})

    assert [each.job.tag for each in buffer.take(ids)] == [1]
    assert [each.job.tag for each in started(buffer, 3)] == [2, 3]


def test_only_what_was_claimed_long_ago_is_stale() -> None:
    clock = Clock()
    buffer = Buffer(SLOTS, reserve=0.2, clock=clock)
    user = new_id()
    buffer.put(Identity(), jobs_of(user, 1))
    clock.now = 5
    buffer.put(Identity(), jobs_of(user, 2))

    assert [each.job.tag for each in buffer.take_older_than(5)] == [1]
    assert len(buffer) == 1


class Line:
    """What a buffer should do, said without a thought for speed."""

    def __init__(self, reserved: int) -> None:
        self._reserved = reserved
        self._waiting: dict[UUID, list[ClaimedJob]] = {}
        self._entered: dict[UUID, int] = {}
        self._running: dict[UUID, int] = {}
        self._users = 0

    def put(self, job: ClaimedJob) -> None:
        if not self._is_here(job.user_id):
            self._users += 1
            self._entered[job.user_id] = self._users
        self._waiting.setdefault(job.user_id, []).append(job)

    def pop(self, free: int) -> ClaimedJob | None:
        here = [user for user in self._entered if self._is_here(user)]
        share = fair_share(SLOTS, 1.0, len(here))
        able = [
            (self._waiting[user][0].tag, self._entered[user], user)
            for user in here
            if self._waiting[user]
            and may_start(
                free=free, reserve=self._reserved, running=self._running.get(user, 0), share=share
            )
        ]
        if not able:
            return None
        user = min(able)[2]
        self._running[user] = self._running.get(user, 0) + 1
        return self._waiting[user].pop(0)

    def ended(self, job: ClaimedJob) -> None:
        self._running[job.user_id] -= 1

    def _is_here(self, user: UUID) -> bool:
        return bool(self._waiting.get(user) or self._running.get(user))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_ends_the_first_who_may_start_does(seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - a reproducible history
    users = [new_id() for _ in range(chance.choice((2, 5, 30)))]
    buffer, line = Buffer(SLOTS, reserve=0.2), Line(reserved=2)
    identity, running = Identity(), list[Running]()
    tag = 0
    for _ in range(1_000):
        if chance.random() < 0.2:
            jobs = [
                a_claimed_job(user_id=chance.choice(users), tag=tag + n)
                for n in range(chance.randrange(4))
            ]
            tag += len(jobs)
            buffer.put(identity, jobs)
            for job in jobs:
                line.put(job)
        elif running and chance.random() < 0.5:
            ended = running.pop(chance.randrange(len(running)))
            buffer.ended(ended)
            line.ended(ended.job)
        else:
            free = SLOTS - len(running)
            started = buffer.pop(free)
            assert (started and started.job) == (line.pop(free) if free else None)
            running += [started] if started else []
