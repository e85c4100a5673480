from __future__ import annotations

from datetime import timedelta

from internal.adapters.postgres.work import RELEASED_KEPT
from internal.domain.jobs import Settlement, Status
from internal.domain.misfits import TRIED_FOR, settle_misfit


def test_a_job_that_no_worker_could_read_for_some_minutes_fails() -> None:
    assert settle_misfit(2, before=40, waited=TRIED_FOR) == Settlement(Status.FAILED, 3)
    soon = TRIED_FOR - timedelta(seconds=1)
    assert settle_misfit(2, before=40, waited=soon).status is Status.SCHEDULED


def test_no_attempt_is_used_up_before_that_and_all_tries_are_kept() -> None:
    waited, tries = timedelta(0), 0
    while (settled := settle_misfit(0, before=tries, waited=waited)).status is Status.SCHEDULED:
        assert settled.attempts == 0
        waited += settled.delay
        tries += 1

    assert 30 < tries < RELEASED_KEPT
