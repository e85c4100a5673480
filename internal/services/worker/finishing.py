"""What is recorded of an attempt that has ended."""

from __future__ import annotations

import random
from time import monotonic
from typing import Final

from internal.domain.blame import Suspicion
from internal.domain.failures import failure_of
from internal.domain.jobs import Outcome, Settlement, Status, lost, settle, succeeded
from internal.domain.ports.work import Finish
from internal.services.worker.ends import End, kept, report
from internal.services.worker.running import Running

# As a name of its own: to look it up in the enum takes longer than all the rest of a comparison.
SUCCEEDED: Final = Outcome.SUCCEEDED
# As in expire.sql.
NOT_STARTED: Final = "expired: it had not started by expires_at"
NOT_FINISHED: Final = "expired: it had not finished by expires_at"
ENDED_ITS_PROCESS: Final = End(
    Outcome.LOST, error="lost: its process was told to end while the job ran alone in it"
)


def timed_out(running: Running) -> End:
    """The end of an attempt whose time is up."""
    limit = running.job.timeout_ms / 1000
    return End(Outcome.TIMED_OUT, error=f"timed out after {limit:g} s")


def finish_of(running: Running, end: End) -> Finish:
    """What is recorded of an attempt that ended like this, and where its job goes."""
    if end.outcome is SUCCEEDED:
        return _success(running, end)
    is_held = running.abandoned or running.works_on
    settlement = _settled(running, end)
    if is_held and settlement.status is Status.QUEUED:
        settlement = Settlement(Status.SCHEDULED, settlement.attempts)
    error = kept(end.error)
    report(running, end, settlement)
    failed = settlement.status is Status.FAILED or end.is_misfit
    is_released = end.outcome is Outcome.RELEASED
    return Finish(
        lease=running.lease,
        outcome=end.outcome,
        settlement=settlement,
        ran_ms=1000 * (running.ended - running.started),
        ended=running.ended,
        result=end.result,
        error=error,
        progress=running.report,
        lines=running.last_lines(),
        failure=failure_of(running.job.user_id, running.job.type, error) if failed else None,
        is_held=is_held,
        is_misfit=end.is_misfit,
        suspicion=running.suspicion if is_released else Suspicion.NONE,
    )


def _success(running: Running, end: End) -> Finish:
    # Nearly all are such, so this is worth its own way.
    return Finish(
        lease=running.job.lease,
        outcome=SUCCEEDED,
        settlement=succeeded(running.job.attempts),
        ran_ms=1000 * (running.ended - running.started),
        ended=running.ended,
        result=end.result,
        progress=running.report,
        lines=running.last_lines(),
        is_held=running.thread is not None and running.works_on,
    )


def expired(running: Running) -> Finish:
    """The end of a job that is not worth running any more."""
    job = running.job
    return Finish(
        lease=running.lease,
        outcome=None,
        settlement=Settlement(Status.CANCELED, job.attempts),
        ran_ms=0.0,
        ended=monotonic(),
        error=NOT_STARTED if job.number == 1 else NOT_FINISHED,
    )


def _settled(running: Running, end: End) -> Settlement:
    job = running.job
    if end is ENDED_ITS_PROCESS:
        return lost(
            job.attempts,
            job.max_attempts,
            cancel_requested=running.cancel_requested,
            to_blame=True,
        )
    return settle(
        end.outcome,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        backoff=job.backoff,
        cancel_requested=running.cancel_requested,
        permanent=end.permanent,
        retry_after=end.retry_after,
        jitter=random.random(),  # noqa: S311 - spreads retries, guards nothing
    )
