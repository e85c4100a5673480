"""What was submitted, and what it waits for."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    desc,
    text,
)

from internal.adapters.postgres.schema.columns import (
    NOW,
    Moment,
    metadata,
    owner,
)

job = Table(
    "job",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("max_attempts", SmallInteger, nullable=False),
    Column("backoff_strategy", Text, nullable=False),
    Column("backoff_base_ms", BigInteger, nullable=False),
    Column("backoff_max_ms", BigInteger, nullable=False),
    Column("backoff_jitter", Double, nullable=False),
    Column("timeout_ms", Integer, nullable=False),
    Column("idempotency_key", Text),
    Column("tags", ARRAY(Text), nullable=False),
    Column("batch_id", Uuid),
    Column("concurrency_key", Text),
    Column("rate_key", Text),
    Column("expires_at", Moment),
    Column("name", Text),
    Column("parents", SmallInteger, nullable=False, server_default=text("0")),
    Column("runs_anyway", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Moment, nullable=False, server_default=NOW),
    Index("job_by_user", "user_id", desc("id")),
    CheckConstraint("priority between 0 and 2", name="job_priority"),
    postgresql_partition_by="RANGE (id)",
)

batch = Table(
    "batch",
    metadata,
    Column("id", Uuid, primary_key=True),
    owner(),
    Column("total", Integer, nullable=False),
    Column("first_job", Uuid, nullable=False),
    Column("last_job", Uuid, nullable=False),
    Column("waits_for", Uuid),
    Column("created_at", Moment, nullable=False, server_default=NOW),
    Column("finished_at", Moment),
    Index("batch_by_user", "user_id", desc("id")),
    Index("batch_unfinished", "user_id", "id", postgresql_where=text("finished_at is null")),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("job_id", Uuid, nullable=False),
)

expiry = Table(
    "expiry",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("at", Moment, nullable=False),
    Index("expiry_by_time", "at"),
)

dependency = Table(
    "dependency",
    metadata,
    Column("child_id", Uuid, primary_key=True),
    Column("parent_id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("status", SmallInteger),
    CheckConstraint("status between 4 and 6", name="dependency_status"),
    Index("dependency_by_parent", "parent_id", "status", "child_id"),
    Index("dependency_failed", "child_id", "parent_id", postgresql_where=text("status > 4")),
)

dependency_note = Table(
    "dependency_note",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Index("dependency_note_by_job", "job_id"),
    Index("dependency_note_by_user", "user_id", "id"),
)

schedule = Table(
    "schedule",
    metadata,
    Column("id", Uuid, primary_key=True),
    owner(),
    Column("name", Text, nullable=False),
    Column("cron", Text),
    Column("every_ms", BigInteger),
    Column("timezone", Text, nullable=False),
    Column("anchor", Moment, nullable=False),
    Column("missed", Text, nullable=False),
    Column("overlap", Text, nullable=False, server_default="queue"),
    Column("paused", Boolean, nullable=False),
    Column("job", Text, nullable=False),
    Column("next_run_at", Moment),
    Column("held_until", Moment),
    Column("last_run_at", Moment),
    Column("last_job_id", Uuid),
    Column("last_error", Text),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    UniqueConstraint("user_id", "name", name="schedule_name"),
    CheckConstraint("(cron is null) <> (every_ms is null)", name="schedule_timing"),
    CheckConstraint("missed in ('skip', 'once', 'all')", name="schedule_missed"),
    CheckConstraint("overlap in ('queue', 'skip')", name="schedule_overlap"),
    CheckConstraint("not paused or next_run_at is null", name="schedule_paused"),
    CheckConstraint("held_until is null or next_run_at is not null", name="schedule_held"),
    Index(
        "schedule_due",
        "next_run_at",
        postgresql_where=text("next_run_at is not null and held_until is null"),
    ),
    Index("schedule_held", "held_until", postgresql_where=text("held_until is not null")),
)
