"""What a bulk operation may do to which jobs, and how fast."""

from __future__ import annotations

from itertools import product

import pytest

from internal.domain import jobs
from internal.domain.errors import InvalidStateError, ValidationError
from internal.domain.ids import new_id
from internal.domain.jobs import Status
from internal.domain.operations import (
    ELIGIBLE,
    MOST_MATCHED,
    MOST_PER_SECOND,
    MOST_RUNNING,
    PER_SECOND,
    Action,
    BulkFilter,
    BulkRequest,
    check_bulk,
    check_matched,
    check_running,
    jobs_a_step,
    tally,
)


def may(action: Action, status: Status) -> bool:
    try:
        match action:
            case Action.RETRY:
                jobs.retry(status, 1, 3)
            case Action.CANCEL:
                jobs.cancel(status)
            case Action.DELETE:
                jobs.check_deletable(status)
    except InvalidStateError:
        return False
    return True


@pytest.mark.parametrize(("action", "status"), list(product(Action, Status)))
def test_many_are_treated_as_one_is(action: Action, status: Status) -> None:
    assert (status in ELIGIBLE[action]) == may(action, status)


def test_a_tally_says_why_each_of_the_others_is_skipped() -> None:
    by_status = {Status.FAILED: 3, Status.CANCELED: 1, Status.RUNNING: 2, Status.SUCCEEDED: 5}
    found = tally(Action.RETRY, by_status, not_found=4)
    assert (found.matched, found.eligible) == (15, 4)
    assert found.skipped == {"running": 2, "succeeded": 5, "not_found": 4}
    found = tally(Action.DELETE, {Status.FAILED: 3}, needed=2)
    assert (found.matched, found.eligible, found.skipped) == (5, 3, {"needed": 2})
    assert tally(Action.DELETE, {}).skipped == {}


@pytest.mark.parametrize(
    "request_",
    [
        BulkRequest(action=Action.RETRY),
        BulkRequest(action=Action.RETRY, filter=BulkFilter()),
        BulkRequest(action=Action.RETRY, filter=BulkFilter(tag=("a",)), ids=(new_id(),)),
    ],
)
def test_it_must_be_said_which_jobs_are_meant(request_: BulkRequest) -> None:
    with pytest.raises(ValidationError):
        check_bulk(request_)


def test_there_are_limits() -> None:
    check_matched(MOST_MATCHED)
    check_running(MOST_RUNNING - 1)
    with pytest.raises(ValidationError, match="1,000,000"):
        check_matched(MOST_MATCHED + 1)
    with pytest.raises(InvalidStateError, match="stop one"):
        check_running(MOST_RUNNING)


@pytest.mark.parametrize(
    ("per_second", "jobs_"), [(1, 1), (4, 1), (5, 2), (100, 25), (MOST_PER_SECOND, 500)]
)
def test_a_step_is_a_quarter_of_a_second(per_second: int, jobs_: int) -> None:
    assert jobs_a_step(per_second) == jobs_


def test_a_retry_is_throttled_unless_its_user_says_otherwise() -> None:
    assert PER_SECOND == {Action.RETRY: 1_000, Action.CANCEL: 10_000, Action.DELETE: 10_000}
