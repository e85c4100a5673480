"""What failed, and what is done about it."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    Uuid,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from internal.adapters.postgres.schema.columns import (
    NOW,
    Moment,
    metadata,
    owner,
)

failure = Table(
    "failure",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("fingerprint", BigInteger, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("noted_at", Moment, nullable=False, server_default=NOW),
    Index("failure_by_time", "noted_at"),
)

replay = Table(
    "replay",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("at", Moment, nullable=False, server_default=NOW),
    Column("from_status", SmallInteger, nullable=False),
    Column("after_attempt", Integer, nullable=False),
    Column("operation_id", Uuid),
    Column("parent_id", Uuid),
    CheckConstraint("from_status in (5, 6)", name="replay_from_status"),
)

past_payload = Table(
    "past_payload",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("user_id", Uuid, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("replaced_at", Moment, nullable=False, server_default=NOW),
)

operation = Table(
    "operation",
    metadata,
    Column("id", Uuid, primary_key=True),
    owner(),
    Column("action", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("per_second", Integer, nullable=False),
    Column("matched", Integer, nullable=False),
    Column("eligible", Integer, nullable=False),
    Column("done", Integer, nullable=False, server_default=text("0")),
    Column("skipped", JSONB, nullable=False),
    Column("next_at", Moment, nullable=False, server_default=NOW),
    Column("created_at", Moment, nullable=False, server_default=NOW),
    Column("finished_at", Moment),
    CheckConstraint("action in ('retry', 'cancel', 'delete')", name="operation_action"),
    CheckConstraint("status in ('running', 'done', 'stopped')", name="operation_status"),
    Index("operation_by_user", "user_id", desc("id")),
    Index("operation_due", "next_at", postgresql_where=text("status = 'running'")),
)

operation_item = Table(
    "operation_item",
    metadata,
    Column("operation_id", Uuid, primary_key=True),
    Column("job_id", Uuid, primary_key=True),
)
