from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from internal.domain.ids import new_id
from internal.domain.jobs import JobSummary, OnDependencyFailure, Priority, Status


def a_summary(job_id: UUID | None = None, status: Status = Status.SUCCEEDED) -> JobSummary:
    """A job as live events show it, just changed."""
    now = datetime.now(UTC)
    ended = now if status is Status.SUCCEEDED else None
    return JobSummary(
        id=job_id or new_id(),
        type="noop",
        queue="default",
        priority=Priority.MEDIUM,
        status=status,
        attempts=0,
        max_attempts=3,
        run_at=now,
        timeout_ms=1_000,
        idempotency_key=None,
        tags=(),
        payload_preview=None,
        error_preview=None,
        progress=None,
        progress_note=None,
        cancel_requested_at=None,
        version=1,
        created_at=now,
        updated_at=now,
        started_at=ended,
        finished_at=ended,
        concurrency_key=None,
        rate_key=None,
        expires_at=None,
        name=None,
        on_dependency_failure=OnDependencyFailure.CANCEL,
    )
