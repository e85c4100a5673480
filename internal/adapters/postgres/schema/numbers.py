"""Counts, and what is told of changes."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)

from internal.adapters.postgres.schema.columns import (
    NOW,
    Moment,
    counts,
    metadata,
)

counter = Table(
    "counter",
    metadata,
    Column("flow_id", Integer, ForeignKey("flow.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Uuid, nullable=False),
    *counts(BigInteger),
    Index("counter_by_user", "user_id"),
)

counter_delta = Table(
    "counter_delta",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("flow_id", Integer, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("at", Moment, nullable=False, server_default=NOW),
    *counts(Integer),
    Column("waits", ARRAY(SmallInteger)),
    Column("used", Double, nullable=False, server_default=text("0")),
    Column("charged", Double, nullable=False, server_default=text("0")),
    Index("counter_delta_by_user", "user_id", "flow_id"),
)

minute = Table(
    "minute",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Index("minute_by_time", "at"),
)

minute_wait = Table(
    "minute_wait",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("bucket", SmallInteger, primary_key=True, autoincrement=False),
    Column("jobs", Integer, nullable=False),
    Index("minute_wait_by_time", "at"),
)

listener = Table(
    "listener",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("expires_at", Moment, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False, server_default="changed"),
    Column("ids", ARRAY(Uuid)),
    CheckConstraint(
        "kind in ('changed', 'progress', 'logged', 'ended', 'batch')", name="outbox_kind"
    ),
)

feed = Table(
    "feed",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ids", ARRAY(Uuid)),
    Column("at", Moment, nullable=False, server_default=NOW),
)
