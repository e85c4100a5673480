"""Where each job stands: in one of these tables, whatever becomes of it."""

from __future__ import annotations

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from internal.adapters.postgres.schema.columns import (
    Moment,
    by_user_and_job,
    in_lane,
    lane_id,
    metadata,
    place,
)

blocked = Table(
    "blocked",
    metadata,
    *place(),
    lane_id(),
    by_user_and_job(),
    in_lane("blocked_in_lane", "lane_id"),
)

scheduled = Table(
    "scheduled",
    metadata,
    *place(),
    lane_id(),
    by_user_and_job(),
    Index("scheduled_by_time", "run_at"),
    in_lane("scheduled_in_lane", "lane_id"),
)

gated = Table(
    "gated",
    metadata,
    *place(),
    lane_id(nullable=False),
    Column("rank", Moment, nullable=False),
    by_user_and_job(),
    Index("gated_by_rank", "lane_id", "rank", "job_id"),
)

ready = Table(
    "ready",
    metadata,
    *place(),
    lane_id(),
    Column("rank", Moment, nullable=False),
    by_user_and_job(),
    Index("ready_by_rank", "flow_id", "rank", "job_id"),
    in_lane("ready_in_lane", "flow_id", "lane_id"),
)

lease = Table(
    "lease",
    metadata,
    *place(),
    lane_id(),
    Column("token", BigInteger, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("cancel_requested_at", Moment),
    Column("progress", REAL),
    Column("charge", REAL, nullable=False, server_default=text("0")),
    Column("progress_note", Text),
    PrimaryKeyConstraint("job_id"),
    CheckConstraint("attempts < max_attempts", name="lease_attempts"),
    Index("lease_to_stop", "worker_id", postgresql_where=text("cancel_requested_at is not null")),
    in_lane("lease_in_lane", "flow_id", "lane_id"),
)

finished = Table(
    "finished",
    metadata,
    *place(),
    Column("status", SmallInteger, nullable=False),
    Column("cancel_requested_at", Moment),
    Column("reason", Text),
    Column("fingerprint", BigInteger),
    Column("canceled_by", Uuid),
    PrimaryKeyConstraint("user_id", "status", "job_id"),
    Index(
        "finished_by_failure",
        "user_id",
        "fingerprint",
        "job_id",
        postgresql_where=text("status = 5"),
        postgresql_include=["since"],
    ),
    CheckConstraint("status between 4 and 6", name="finished_status"),
    CheckConstraint("attempts <= max_attempts", name="finished_attempts"),
    postgresql_partition_by="RANGE (job_id)",
)
