from __future__ import annotations

from uuid import UUID

import pytest

from internal.domain.blame import Suspicion, alone, is_to_run_alone, runs_alone, suspicion_of
from internal.domain.ids import new_id
from internal.domain.jobs import Settlement, Status, lost


def test_two_ends_that_were_seen_or_four_without_a_reason_set_a_job_apart() -> None:
    assert not is_to_run_alone(1 * Suspicion.KNOWN_END)
    assert is_to_run_alone(2 * Suspicion.KNOWN_END)
    assert not is_to_run_alone(3 * Suspicion.SLIGHT)
    assert is_to_run_alone(4 * Suspicion.SLIGHT)
    assert is_to_run_alone(Suspicion.KNOWN_END + 2 * Suspicion.SLIGHT)


def test_the_job_that_began_last_runs_alone_after_one_end_and_its_neighbours_go_on() -> None:
    last, beside = new_id(), new_id()

    def against(job_id: UUID) -> Suspicion:
        return suspicion_of(job_id, end_known=True, blamed=[], suspected=[last])

    assert is_to_run_alone(against(last))
    assert against(beside) is Suspicion.SLIGHT


def test_an_end_says_most_when_it_was_seen_and_nothing_when_another_job_is_to_blame() -> None:
    job_id = new_id()
    for end_known, blamed, expected in [
        (True, [], Suspicion.KNOWN_END),
        (False, [], Suspicion.SLIGHT),
        (True, [new_id()], Suspicion.NONE),
        (True, [job_id], Suspicion.STRONG),
    ]:
        given = suspicion_of(job_id, end_known=end_known, blamed=blamed, suspected=[])
        assert given is expected


def test_a_job_that_runs_alone_stays_on_its_route() -> None:
    assert alone("default") == "alone:default"
    assert alone(alone("pull:noop")) == "alone:pull:noop"
    assert runs_alone(alone("default"))
    assert not runs_alone("default")


@pytest.mark.parametrize(
    ("to_blame", "cancel_requested", "settlement"),
    [
        (False, False, Settlement(Status.QUEUED, 2)),
        (False, True, Settlement(Status.CANCELED, 2)),
        (True, False, Settlement(Status.FAILED, 3)),
        (True, True, Settlement(Status.CANCELED, 3)),
    ],
)
def test_a_loss_counts_only_for_the_job_to_blame(
    to_blame: bool,  # noqa: FBT001 - a parameter of the test
    cancel_requested: bool,  # noqa: FBT001 - likewise
    settlement: Settlement,
) -> None:
    assert lost(2, 3, cancel_requested=cancel_requested, to_blame=to_blame) == settlement
