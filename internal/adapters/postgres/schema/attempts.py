"""What ran, where, and what it said."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from internal.adapters.postgres.schema.columns import (
    NOW,
    Moment,
    in_lane,
    lane_id,
    metadata,
)

worker = Table(
    "worker",
    metadata,
    Column("id", Text, primary_key=True),
    Column("slots", Integer, nullable=False),
    Column("started_at", Moment, nullable=False, server_default=NOW),
    Column("expires_at", Moment, nullable=False),
    Column("routes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("running", Integer, nullable=False, server_default=text("0")),
    Column("lag_ms", Integer, nullable=False, server_default=text("0")),
    Column("end_known", Boolean, nullable=False, server_default=text("false")),
    Column("blamed", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("suspected", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),
    Column("alone", Boolean, nullable=False, server_default=text("false")),
)

suspect = Table(
    "suspect",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("suspicion", Integer, nullable=False),
)

hold = Table(
    "hold",
    metadata,
    Column("job_id", Uuid, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("flow_id", Integer, nullable=False),
    lane_id(),
    Column("worker_id", Text, nullable=False),
    Column("since", Moment, nullable=False),
    PrimaryKeyConstraint("job_id", "token"),
    in_lane("hold_in_lane", "flow_id", "lane_id"),
)

leader = Table(
    "leader",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("session", Integer),
)

attempt = Table(
    "attempt",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("error", Text),
    Column("result", JSON),
    Column("progress", REAL),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("progress_note", Text),
    CheckConstraint("status between 1 and 6", name="attempt_status"),
    postgresql_partition_by="RANGE (job_id)",
)

attempt_log = Table(
    "attempt_log",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("at", Moment, nullable=False),
    Column("line", Text, nullable=False),
    postgresql_partition_by="RANGE (job_id)",
)
