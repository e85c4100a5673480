"""The theory's promises hold for the rules, whatever the users, their jobs and the claims are."""

from __future__ import annotations

from itertools import chain
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from internal.domain.fairness import (
    FIRST_COST_S,
    LEAST_COST_S,
    Queue,
    User,
    averaged,
    claim,
    used,
)
from tests.support.farms import ROUNDING, Farm, farms

CLAIMS = st.integers(1, 12)
thorough = settings(deadline=None)  # machines differ, and a slow one is no fault
STEPS = st.lists(
    st.tuples(
        st.integers(0, 7),  # a user who submits,
        st.integers(0, 2),  # to which queue,
        st.sampled_from([0, 1, 2, 30]),  # how many jobs,
        CLAIMS,  # the size of the claim,
        st.sets(st.integers(0, 7)),  # and the users whom other claims hold
    ),
    min_size=1,
    max_size=40,
)


@thorough
@given(farms(), STEPS)
def test_one_claimer_of_single_jobs_keeps_to_the_bound_of_the_paper(farm: Farm, steps: Any) -> None:
    for user, queue, jobs, _, _ in steps:
        farm.submit(user, queue, jobs)
        farm.claim(1)

    for pair, apart in farm.apart.items():
        assert apart <= sum(farm.longest(each) for each in pair) + ROUNDING


@thorough
@given(farms(), STEPS)
def test_batches_and_any_number_of_claimers_keep_to_their_bound(farm: Farm, steps: Any) -> None:
    for user, queue, jobs, limit, held in steps:
        farm.submit(user, queue, jobs)
        farm.claim(limit, held)

    batch = max(limit for _, _, _, limit, _ in steps)
    longest = max(farm.longest(user) for user in farm.users)
    assert max(farm.apart.values(), default=0) <= 2 * (1.25 * batch + 1) * longest + ROUNDING


@thorough
@given(farms(), STEPS, st.floats(0.001, 1000))
def test_wrong_estimates_add_no_more_than_what_is_not_settled_yet(
    farm: Farm, steps: Any, wrong: float
) -> None:
    farm.estimate_all(lambda cost: cost * wrong)
    off = 0.0
    for user, queue, jobs, limit, _ in steps:
        farm.submit(user, queue, jobs)
        farm.claim(limit)
        off = max(off, farm.unsettled())
        farm.settle()

    batch = max(limit for _, _, _, limit, _ in steps)
    longest = max(max(farm.longest(user), farm.longest_guess(user)) for user in farm.users)
    bound = 2 * (1.25 * batch + 1) * longest + 2 * off
    assert max(farm.apart.values(), default=0) <= bound + ROUNDING


@thorough
@given(farms(users=5), st.integers(0, 4), CLAIMS, st.integers(1, 50))
def test_idleness_earns_no_credit(farm: Farm, idle: int, limit: int, claims: int) -> None:
    sleeper = idle % len(farm.users)
    others = [user for user in farm.users if user != sleeper]
    for user in others:
        farm.submit(user, 0, 1000)
    for _ in range(claims):
        farm.claim(limit)
    before = min(farm.users[user].virtual_time for user in others)

    farm.submit(sleeper, 0, 1000)

    assert farm.users[sleeper].virtual_time >= before


@thorough
@given(farms(costs=(0.004, 0.01)), CLAIMS)
def test_nobody_starves_however_much_others_submit(farm: Farm, limit: int) -> None:
    *others, last = farm.users
    for user in others:
        farm.submit(user, 0, 50)
    farm.claim(limit)
    farm.submit(last, 0, 1)
    claims = 0
    while farm.jobs(last):
        farm.claim(limit)
        claims += 1
        for user in others:
            farm.submit(user, 0, limit)
        assert claims <= 100 * len(others)


@thorough
@given(
    st.sampled_from([0.5, 1.0, 3.0]),
    st.integers(1, 8),
    CLAIMS,
)
def test_splitting_work_gains_nothing(weight: float, queues: int, limit: int) -> None:
    """Of two equal users, one splits the work over queues and calls."""
    plain = User(0, (Queue(0, cost=0.01),), weight=weight)
    split = User(1, tuple(Queue(1 + each, cost=0.01) for each in range(queues)), weight=weight)
    farm = Farm([plain, split])
    farm.submit(0, 0, 100)
    for each in range(10):
        farm.submit(1, each, 10)
    served = [0, 0]
    while all(farm.jobs(user) for user in farm.users):
        for start in farm.claim(limit):
            served[start.user] += 1
        assert served[1] - served[0] <= 1


def test_a_queue_that_was_empty_for_long_is_not_served_alone() -> None:
    busy = Queue(0, jobs=tuple(range(1000)), turn=5000.0)
    quiet = Queue(1, jobs=tuple(range(1000, 2000)), turn=3.0)

    starts, (user,) = claim([User(0, (busy, quiet))], 150)

    assert [start.queue for start in starts[:100]] == [1] * 100
    assert sorted(start.queue for start in starts[100:]) == [0] * 25 + [1] * 25
    assert [queue.turn for queue in user.queues] == [5025.0, 5025.0]


def test_a_light_user_waits_for_a_job_of_each_busy_user_at_most() -> None:
    farm = Farm([User(each, (Queue(each),)) for each in range(11)])
    for user in range(10):
        farm.submit(user, 0, 10_000 if user == 0 else 100)
    for _ in range(30):
        farm.claim(7)

    farm.submit(10, 0, 1)

    assert 10 in [start.user for start in farm.claim(11)]


def test_weights_divide_the_service() -> None:
    farm = Farm([User(0, (Queue(0),), weight=3.0), User(1, (Queue(1),))])
    farm.submit(0, 0, 9000)
    farm.submit(1, 0, 9000)

    starts = chain.from_iterable(farm.claim(100) for _ in range(40))

    assert [start.user for start in starts].count(0) == 3000


def test_an_attempt_costs_a_millisecond_at_least() -> None:
    assert used(0.0) == LEAST_COST_S
    assert used(2.5) == 2.5


def test_the_average_follows_what_jobs_use() -> None:
    queue = Queue(0)
    assert queue.cost == FIRST_COST_S
    assert averaged(queue, used=2.0, jobs=2).cost == 1 - 0.99 * 0.81
    assert averaged(queue, used=10_000.0, jobs=10_000).cost == 1.0
