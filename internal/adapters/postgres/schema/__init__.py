"""The tables as SQLAlchemy Core knows them; a test holds them against the migrations."""

from internal.adapters.postgres.schema.accounts import (
    account,
    login_failure,
    session,
    tenant,
    ticket,
)
from internal.adapters.postgres.schema.attempts import attempt, attempt_log, hold, suspect, worker
from internal.adapters.postgres.schema.columns import metadata
from internal.adapters.postgres.schema.dead_letters import (
    failure,
    operation,
    operation_item,
    past_payload,
    replay,
)
from internal.adapters.postgres.schema.jobs import (
    batch,
    dependency,
    dependency_note,
    expiry,
    idempotency,
    job,
    schedule,
)
from internal.adapters.postgres.schema.numbers import (
    counter,
    counter_delta,
    feed,
    listener,
    minute,
    minute_wait,
    outbox,
)
from internal.adapters.postgres.schema.places import (
    blocked,
    finished,
    gated,
    lease,
    ready,
    scheduled,
)
from internal.adapters.postgres.schema.queues import bucket, flow, gate_note, lane, queue

__all__ = [
    "account",
    "attempt",
    "attempt_log",
    "batch",
    "blocked",
    "bucket",
    "counter",
    "counter_delta",
    "dependency",
    "dependency_note",
    "expiry",
    "failure",
    "feed",
    "finished",
    "flow",
    "gate_note",
    "gated",
    "hold",
    "idempotency",
    "job",
    "lane",
    "lease",
    "listener",
    "login_failure",
    "metadata",
    "minute",
    "minute_wait",
    "operation",
    "operation_item",
    "outbox",
    "past_payload",
    "queue",
    "ready",
    "replay",
    "schedule",
    "scheduled",
    "session",
    "suspect",
    "tenant",
    "ticket",
    "worker",
]
