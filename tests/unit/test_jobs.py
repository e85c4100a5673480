"""The moves between a job's states, beside the diagram in docs/job-lifecycle.md."""

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.domain import jobs
from internal.domain.errors import InvalidStateError
from internal.domain.jobs import COUNTED, FINISHED, Outcome, Priority, Settlement, Status, settle
from internal.domain.retry import Backoff, Strategy

BACKOFF = Backoff(Strategy.EXPONENTIAL, 2_000, 60_000)
ENDS = [outcome for outcome in Outcome if outcome is not Outcome.RUNNING]
LATER = timedelta(seconds=7)

# Of the diagram, the moves that are decided here; the store makes the others as time passes.
DIAGRAM = {
    (Status.RUNNING, Status.SUCCEEDED),
    (Status.RUNNING, Status.SCHEDULED),
    (Status.RUNNING, Status.QUEUED),
    (Status.RUNNING, Status.FAILED),
    (Status.RUNNING, Status.CANCELED),
    (Status.BLOCKED, Status.CANCELED),
    (Status.SCHEDULED, Status.CANCELED),
    (Status.QUEUED, Status.CANCELED),
    (Status.FAILED, Status.QUEUED),
    (Status.CANCELED, Status.QUEUED),
}


def moves() -> set[tuple[Status, Status]]:
    found = set()
    for outcome, attempts, canceled, permanent, after in product(
        ENDS, (0, 1, 2), (False, True), (False, True), (None, LATER)
    ):
        settled = settle(
            outcome,
            attempts=attempts,
            max_attempts=3,
            backoff=BACKOFF,
            cancel_requested=canceled,
            permanent=permanent,
            retry_after=after,
        )
        found.add((Status.RUNNING, settled.status))
    for status in Status:
        if status not in FINISHED and jobs.cancel(status) is not status:
            found.add((status, jobs.cancel(status)))
        if status in {Status.FAILED, Status.CANCELED} and jobs.retry(status, 1, 3):
            found.add((status, Status.QUEUED))
    return found


def test_the_moves_are_those_of_the_diagram_and_no_others() -> None:
    assert moves() == DIAGRAM


def test_with_the_defaults_a_job_waits_2_s_then_4_s_then_fails() -> None:
    history = [
        settle(Outcome.FAILED, attempts=attempts, max_attempts=3, backoff=BACKOFF)
        for attempts in range(3)
    ]
    assert history == [
        Settlement(Status.SCHEDULED, 1, timedelta(seconds=2)),
        Settlement(Status.SCHEDULED, 2, timedelta(seconds=4)),
        Settlement(Status.FAILED, 3),
    ]


@pytest.mark.parametrize(
    ("outcome", "settlement"),
    [
        (Outcome.SUCCEEDED, Settlement(Status.SUCCEEDED, 1)),
        (Outcome.FAILED, Settlement(Status.SCHEDULED, 2, timedelta(seconds=4))),
        (Outcome.TIMED_OUT, Settlement(Status.SCHEDULED, 2, timedelta(seconds=4))),
        (Outcome.LOST, Settlement(Status.QUEUED, 1)),
        (Outcome.RELEASED, Settlement(Status.QUEUED, 1)),
        (Outcome.CANCELED, Settlement(Status.CANCELED, 1)),
    ],
)
def test_each_end_of_an_attempt_has_its_own_way_on(
    outcome: Outcome, settlement: Settlement
) -> None:
    assert settle(outcome, attempts=1, max_attempts=3, backoff=BACKOFF) == settlement


def test_a_running_attempt_settles_nothing() -> None:
    with pytest.raises(InvalidStateError):
        settle(Outcome.RUNNING, attempts=0, max_attempts=3, backoff=BACKOFF)


@pytest.mark.parametrize("outcome", ENDS)
def test_after_a_cancel_only_a_success_is_no_cancel(outcome: Outcome) -> None:
    settled = settle(
        outcome, attempts=0, max_attempts=1, backoff=BACKOFF, cancel_requested=True, permanent=True
    )
    success = outcome is Outcome.SUCCEEDED
    assert settled.status is (Status.SUCCEEDED if success else Status.CANCELED)


def test_a_permanent_failure_uses_no_further_attempt() -> None:
    settled = settle(Outcome.FAILED, attempts=0, max_attempts=9, backoff=BACKOFF, permanent=True)
    assert settled == Settlement(Status.FAILED, 1)


def test_a_wait_that_was_asked_for_replaces_the_backoff_but_grants_no_attempt() -> None:
    end = partial(settle, max_attempts=3, backoff=BACKOFF, retry_after=LATER)
    assert end(Outcome.FAILED, attempts=1) == Settlement(Status.SCHEDULED, 2, LATER)
    assert end(Outcome.FAILED, attempts=2) == Settlement(Status.FAILED, 3)
    assert end(Outcome.RELEASED, attempts=2) == Settlement(Status.SCHEDULED, 2, LATER)


@given(
    st.integers(1, 100),
    st.lists(
        st.tuples(
            st.sampled_from(ENDS), st.booleans(), st.booleans(), st.sampled_from([None, LATER])
        ),
        max_size=150,
    ),
)
def test_in_no_history_do_attempts_exceed_their_maximum(
    max_attempts: int, history: list[tuple[Outcome, bool, bool, timedelta | None]]
) -> None:
    attempts = 0
    for outcome, canceled, permanent, after in history:
        assert attempts < max_attempts, "a job without an attempt left was about to start"
        settled = settle(
            outcome,
            attempts=attempts,
            max_attempts=max_attempts,
            backoff=BACKOFF,
            cancel_requested=canceled,
            permanent=permanent,
            retry_after=after,
        )
        assert settled.attempts - attempts == (outcome in COUNTED)
        assert settled.attempts <= max_attempts
        assert settled.delay >= timedelta(0)
        attempts = settled.attempts
        if settled.status is Status.SUCCEEDED:
            return
        if settled.status in FINISHED:
            max_attempts = jobs.retry(settled.status, attempts, max_attempts)


@given(st.sampled_from([Status.FAILED, Status.CANCELED]), st.integers(0, 100), st.integers(1, 100))
def test_a_retry_by_hand_grants_one_more_attempt_where_none_is_left(
    status: Status, attempts: int, max_attempts: int
) -> None:
    granted = jobs.retry(status, attempts, max_attempts)
    assert granted == (max_attempts if attempts < max_attempts else attempts + 1)


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.FAILED, Status.CANCELED}))
def test_only_failed_and_canceled_jobs_can_be_retried(status: Status) -> None:
    with pytest.raises(InvalidStateError, match=status):
        jobs.retry(status, 1, 3)


def test_a_running_job_stays_running_until_its_handler_has_heard_of_the_cancel() -> None:
    assert jobs.cancel(Status.RUNNING) is Status.RUNNING


@pytest.mark.parametrize("status", sorted(FINISHED))
def test_a_finished_job_can_be_deleted_but_not_canceled(status: Status) -> None:
    jobs.check_deletable(status)
    with pytest.raises(InvalidStateError, match=status):
        jobs.cancel(status)


@pytest.mark.parametrize("status", sorted(set(Status) - FINISHED))
def test_an_unfinished_job_cannot_be_deleted(status: Status) -> None:
    with pytest.raises(InvalidStateError, match="cancel it"):
        jobs.check_deletable(status)


def test_every_status_waits_runs_or_has_finished() -> None:
    assert jobs.WAITING | {Status.RUNNING} | FINISHED == set(Status)
    assert not jobs.WAITING & FINISHED


@given(st.sampled_from(Priority), st.sampled_from(Priority), st.timedeltas(timedelta(0)))
def test_a_priority_overtakes_by_its_handicap_and_no_more(
    one: Priority, other: Priority, later: timedelta
) -> None:
    due, aging = datetime(2026, 1, 1, tzinfo=UTC), timedelta(seconds=60)
    later = min(later, timedelta(days=365))
    handicap = list(Priority).index(one) - list(Priority).index(other)
    overtakes = jobs.rank(due + later, other, aging) < jobs.rank(due, one, aging)
    assert overtakes == (later < handicap * aging)
