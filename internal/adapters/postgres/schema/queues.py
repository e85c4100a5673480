"""Queues, their parts that a claim looks at, and the gates of those that are limited."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from internal.adapters.postgres.schema.columns import (
    NOW,
    Moment,
    metadata,
    of_queue,
    owner,
)

queue = Table(
    "queue",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    owner(),
    Column("name", Text, nullable=False),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("max_running", Integer),
    Column("max_running_per_key", Integer, nullable=False, server_default=text("1")),
    Column("rate_limit", Integer),
    Column("rate_per_ms", Integer),
    Column("rate_burst", Integer),
    Column("key_rate_limit", Integer),
    Column("key_rate_per_ms", Integer),
    Column("key_rate_burst", Integer),
    Column(
        "limited",
        Boolean,
        Computed("max_running is not null or rate_limit is not null", persisted=True),
        nullable=False,
    ),
    Column("opens_at", Moment),
    Column("retired", Boolean, nullable=False, server_default=text("false")),
    Column("empty_since", Moment),
    UniqueConstraint("user_id", "name", name="queue_name"),
    CheckConstraint("max_running > 0", name="queue_max_running"),
    CheckConstraint("max_running_per_key > 0", name="queue_max_running_per_key"),
    CheckConstraint("rate_limit > 0", name="queue_rate_limit"),
    CheckConstraint("key_rate_limit > 0", name="queue_key_rate_limit"),
    Index("queue_to_open", "opens_at", postgresql_where=text("opens_at is not null")),
)

flow = Table(
    "flow",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    owner(),
    Column("queue", Text, nullable=False),
    Column("route", Text, nullable=False),
    of_queue(),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("limited", Boolean, nullable=False, server_default=text("false")),
    Column("regating", Boolean, nullable=False, server_default=text("false")),
    Column("awake", Boolean, nullable=False, server_default=text("false")),
    Column("low", Moment, nullable=False, server_default=text("'-infinity'")),
    Column("turn", Double, nullable=False, server_default=text("0")),
    Column("cost", Double, nullable=False, server_default=text("0.01")),
    Column("ran_s", Double),
    Column("retired", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("user_id", "queue", "route", name="flow_name"),
    Index("flow_in_line", "user_id", "turn", postgresql_where=text("awake")),
    Index("flow_awake", "route", postgresql_where=text("awake")),
    Index("flow_by_queue", "queue_id"),
    Index("flow_alone", "route", postgresql_where=text("route like 'alone:%'")),
    Index("flow_regating", "queue_id", postgresql_where=text("regating")),
)

lane = Table(
    "lane",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("queue_id", Integer, nullable=False),
    Column("flow_id", Integer, ForeignKey("flow.id", ondelete="CASCADE"), nullable=False),
    Column("concurrency_key", Text, nullable=False, server_default=""),
    Column("rate_key", Text, nullable=False, server_default=""),
    Column("head", Moment),
    Column("open", Boolean, nullable=False, server_default=text("true")),
    Column("opens_at", Moment),
    Column("used_at", Moment, nullable=False, server_default=NOW),
    UniqueConstraint("flow_id", "concurrency_key", "rate_key", name="lane_name"),
    Index("lane_in_line", "queue_id", "head", postgresql_where=text("open and head is not null")),
    Index("lane_closed", "queue_id", postgresql_where=text("not open")),
    Index("lane_to_open", "opens_at", postgresql_where=text("opens_at is not null")),
    Index(
        "lane_by_concurrency",
        "queue_id",
        "concurrency_key",
        postgresql_where=text("concurrency_key <> ''"),
    ),
    Index("lane_by_rate", "queue_id", "rate_key", postgresql_where=text("rate_key <> ''")),
    Index("lane_by_use", "used_at"),
)

bucket = Table(
    "bucket",
    metadata,
    of_queue(primary_key=True),
    Column("key", Text, primary_key=True),
    Column("tokens", Double, nullable=False),
    Column("at", Moment, nullable=False),
    Column("unstarted", BigInteger, nullable=False, server_default="0"),
)

gate_note = Table(
    "gate_note",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("queue_id", Integer),
    Column("lane_id", Integer),
    Column("freed", ARRAY(Integer)),
)
