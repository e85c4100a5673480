"""The story that the examples tell.

Ada signs up. She submits a welcome mail to an address with a typo, which fails; she mends its
payload and retries it, and it is sent. Then she sends a newsletter as a batch of two jobs, retries
what else has failed, and has a digest sent each morning.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec.structs import replace

from internal.domain.accounts import Role, User
from internal.domain.failures import failure_of, written
from internal.domain.jobs import Job, JobSummary, OnDependencyFailure, Priority, Status
from internal.domain.retry import Backoff, Strategy

TYPE: Final = "email.send"
QUEUE: Final = "email"
WORKER: Final = "w-5f0c2b7a91de"
KEY: Final = "welcome-grace"
ERROR: Final = "no server takes mail for 'grace@exampel.com'"

USER_ID: Final = UUID("019cad8f-ac00-752e-89a7-834df2a74de4")
WELCOME_ID: Final = UUID("019cadc6-9af8-7651-8317-1ff4a6a3a450")
RENDER_ID: Final = UUID("019cadfd-8928-7128-a24b-e40ad23f0824")
SEND_ID: Final = UUID("019cadfd-8928-7181-a54c-66175d9dc9f8")
BATCH_ID: Final = UUID("019cadfd-8928-71c0-a079-d3bde8e25d94")
OPERATION_ID: Final = UUID("019cae34-7780-736f-8580-28d6099950d8")
SCHEDULE_ID: Final = UUID("019cadab-2340-76f0-8478-82e36b0d549b")
DIGEST_ID: Final = UUID("019cae6b-6600-76ca-b4eb-252b0f21ddb6")

FAILURE: Final = failure_of(USER_ID, TYPE, ERROR)
FINGERPRINT: Final = written(FAILURE.fingerprint)


def at(hour: int, minute: int = 0, second: int = 0, ms: int = 0) -> datetime:
    """A time of the day on which the story plays."""
    return datetime(2026, 3, 2, hour, minute, second, ms * 1000, UTC)


def summary(job: Job) -> JobSummary:
    """The job as lists show it."""
    fields: dict[str, Any] = {
        name: getattr(job, name, None) for name in JobSummary.__struct_fields__
    }
    previews = {"payload_preview": job.payload, "error_preview": job.last_error}
    return JobSummary(**fields | previews)


def _text(payload: dict[str, Any]) -> str:
    return msgspec.json.encode(payload).decode()


def _job(id: UUID, type_: str, payload: dict[str, Any], created_at: datetime) -> Job:
    """A job as it is right after its submission, with the settings' defaults."""
    return Job(
        id=id,
        type=type_,
        queue=QUEUE,
        priority=Priority.MEDIUM,
        status=Status.QUEUED,
        attempts=0,
        max_attempts=3,
        run_at=created_at,
        backoff=Backoff(Strategy.EXPONENTIAL, 2_000, 60_000),
        timeout_ms=900_000,
        idempotency_key=None,
        tags=(),
        payload=_text(payload),
        result=None,
        last_error=None,
        progress=None,
        progress_note=None,
        cancel_requested_at=None,
        version=1,
        created_at=created_at,
        updated_at=created_at,
        started_at=None,
        finished_at=None,
        concurrency_key=None,
        rate_key=None,
        expires_at=None,
        name=None,
        depends_on=(),
        on_dependency_failure=OnDependencyFailure.CANCEL,
    )


UNDERWAY: Final = {**dict.fromkeys(Status, 0), Status.RUNNING: 1, Status.BLOCKED: 1}
ALL_JOBS: Final = {**UNDERWAY, Status.SUCCEEDED: 118, Status.FAILED: 14}

USER: Final = User(USER_ID, "ada@example.com", Role.USER, at(8))

MISTYPED: Final = {"to": "grace@exampel.com", "template": "welcome"}
MENDED: Final = {"to": "grace@example.com", "template": "welcome"}

QUEUED: Final = replace(
    _job(WELCOME_ID, TYPE, MISTYPED, at(9, 0, 0, 120)),
    priority=Priority.HIGH,
    idempotency_key=KEY,
    tags=("welcome",),
)
FAILED: Final = replace(
    QUEUED,
    status=Status.FAILED,
    attempts=1,
    last_error=ERROR,
    version=3,
    updated_at=at(9, 0, 0, 480),
    started_at=at(9, 0, 0, 130),
    finished_at=at(9, 0, 0, 480),
)
EDITED: Final = replace(FAILED, payload=_text(MENDED), version=4)
RETRIED: Final = replace(
    EDITED,
    status=Status.QUEUED,
    run_at=at(9, 31),
    version=5,
    updated_at=at(9, 31),
    finished_at=None,
)
SUCCEEDED: Final = replace(
    RETRIED,
    status=Status.SUCCEEDED,
    result=_text({"message_id": "42@mail.example.com"}),
    last_error=None,
    progress=1.0,
    progress_note="sent",
    version=7,
    updated_at=at(9, 31, 0, 350),
    started_at=at(9, 31, 0, 10),
    finished_at=at(9, 31, 0, 350),
)

ISSUE: Final = {"issue": 12}
RENDERING: Final = replace(
    _job(RENDER_ID, "newsletter.render", ISSUE, at(10, 0, 0, 40)),
    status=Status.RUNNING,
    progress=0.25,
    progress_note="3 of 12 pages",
    version=2,
    updated_at=at(10, 0, 2),
    started_at=at(10, 0, 0, 50),
    name="render",
)
STOPPING: Final = replace(
    RENDERING, version=3, updated_at=at(10, 0, 3), cancel_requested_at=at(10, 0, 3)
)
NEWSLETTER: Final = {"to": "subscribers@example.com", "template": "newsletter"}
BLOCKED: Final = replace(
    _job(SEND_ID, TYPE, NEWSLETTER, at(10, 0, 0, 40)),
    status=Status.BLOCKED,
    depends_on=(RENDER_ID,),
)
CANCELED: Final = replace(
    BLOCKED,
    status=Status.CANCELED,
    version=2,
    updated_at=at(10, 0, 3),
    finished_at=at(10, 0, 3),
)

DIGEST: Final = {"type": TYPE, "payload": {"to": "ada@example.com", "template": "digest"}}
OF_DIGEST: Final = replace(
    _job(DIGEST_ID, TYPE, {"to": "ada@example.com", "template": "digest"}, at(12)), queue="default"
)
