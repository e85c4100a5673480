"""The tables as SQLAlchemy Core knows them; a test holds them against the migrations."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    JSON,
    REAL,
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
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    desc,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

metadata: Final = MetaData()

Moment: Final = TIMESTAMP(timezone=True)
NOW: Final = func.now()


def _user(*, primary_key: bool = False) -> Column[object]:
    owner = ForeignKey("account.id", ondelete="CASCADE")
    return Column("user_id", Uuid, owner, primary_key=primary_key, nullable=False)


def _queue(*, primary_key: bool = False) -> Column[object]:
    queue_id = ForeignKey("queue.id", ondelete="CASCADE")
    return Column("queue_id", Integer, queue_id, primary_key=primary_key, nullable=False)


def _place() -> list[Column[object]]:
    return [
        Column("job_id", Uuid, nullable=False),
        Column("user_id", Uuid, nullable=False),
        Column("flow_id", Integer, nullable=False),
        Column("priority", SmallInteger, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("number", Integer, nullable=False),
        Column("max_attempts", Integer, nullable=False),
        Column("version", Integer, nullable=False),
        Column("run_at", Moment, nullable=False),
        Column("since", Moment, nullable=False, server_default=NOW),
        Column("awaited", Boolean, nullable=False, server_default=text("false")),
    ]


def _lane(*, nullable: bool = True) -> Column[object]:
    return Column("lane_id", Integer, nullable=nullable)


def _in_lane(name: str, *columns: str) -> Index:
    return Index(name, *columns, postgresql_where=text("lane_id is not null"))


def _counts(kind: type[Integer]) -> list[Column[object]]:
    names = (
        "blocked",
        "scheduled",
        "queued",
        "running",
        "succeeded",
        "failed",
        "canceled",
    )
    return [Column(name, kind, nullable=False, server_default=text("0")) for name in names]


def _by_user_and_job() -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint("user_id", "job_id")


account = Table(
    "account",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False, server_default="user"),
    Column("created_at", Moment, nullable=False, server_default=NOW),
    UniqueConstraint("email_key", name="account_email"),
    CheckConstraint("role in ('user', 'admin')", name="account_role"),
)

session = Table(
    "session",
    metadata,
    Column("id", Uuid, primary_key=True),
    _user(),
    Column("generation", Integer, nullable=False, server_default=text("1")),
    Column("rotated_at", Moment, nullable=False, server_default=NOW),
    Column("expires_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("created_at", Moment, nullable=False, server_default=NOW),
    Index("session_by_user", "user_id"),
    Index("session_by_expiry", "expires_at"),
)

ticket = Table(
    "ticket",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    _user(),
    Column("session_id", Uuid, ForeignKey("session.id", ondelete="CASCADE"), nullable=False),
    Column("token_expires_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

login_failure = Table(
    "login_failure",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("email_key", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("at", Moment, nullable=False, server_default=func.clock_timestamp()),
    Index("login_failure_by_source", "email_key", "address", "at"),
    Index("login_failure_by_time", "at"),
)

tenant = Table(
    "tenant",
    metadata,
    _user(primary_key=True),
    Column("virtual_time", Double, nullable=False, server_default=text("0")),
    Column("weight", Double, nullable=False, server_default=text("1")),
    Column("awake", Boolean, nullable=False, server_default=text("false")),
    Column("drained", Boolean, nullable=False, server_default=text("true")),
    Index("tenant_in_line", "awake", "virtual_time"),
    CheckConstraint("weight > 0", name="tenant_weight"),
)

queue = Table(
    "queue",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    _user(),
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
    _user(),
    Column("queue", Text, nullable=False),
    Column("route", Text, nullable=False),
    _queue(),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("limited", Boolean, nullable=False, server_default=text("false")),
    Column("regating", Boolean, nullable=False, server_default=text("false")),
    Column("awake", Boolean, nullable=False, server_default=text("false")),
    Column("low", Moment, nullable=False, server_default=text("'-infinity'")),
    Column("turn", Double, nullable=False, server_default=text("0")),
    Column("cost", Double, nullable=False, server_default=text("0.01")),
    Column("ran_s", Double),
    UniqueConstraint("user_id", "queue", "route", name="flow_name"),
    Index("flow_in_line", "user_id", "turn", postgresql_where=text("awake")),
    Index("flow_awake", "route", postgresql_where=text("awake")),
    Index("flow_by_queue", "queue_id"),
    Index("flow_regating", "queue_id", postgresql_where=text("regating")),
)

lane = Table(
    "lane",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    _queue(),
    Column("flow_id", Integer, ForeignKey("flow.id", ondelete="CASCADE"), nullable=False),
    Column("concurrency_key", Text, nullable=False, server_default=""),
    Column("rate_key", Text, nullable=False, server_default=""),
    Column("head", Moment),
    Column("open", Boolean, nullable=False, server_default=text("true")),
    Column("opens_at", Moment),
    Column("used_at", Moment, nullable=False, server_default=NOW),
    UniqueConstraint("flow_id", "concurrency_key", "rate_key", name="lane_name"),
    Index("lane_in_line", "queue_id", "head", postgresql_where=text("open and head is not null")),
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
    _queue(primary_key=True),
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
    _user(),
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

blocked = Table(
    "blocked",
    metadata,
    *_place(),
    _lane(),
    _by_user_and_job(),
    _in_lane("blocked_in_lane", "lane_id"),
)

scheduled = Table(
    "scheduled",
    metadata,
    *_place(),
    _lane(),
    _by_user_and_job(),
    Index("scheduled_by_time", "run_at"),
    _in_lane("scheduled_in_lane", "lane_id"),
)

gated = Table(
    "gated",
    metadata,
    *_place(),
    _lane(nullable=False),
    Column("rank", Moment, nullable=False),
    _by_user_and_job(),
    Index("gated_by_rank", "lane_id", "rank", "job_id"),
)

ready = Table(
    "ready",
    metadata,
    *_place(),
    _lane(),
    Column("rank", Moment, nullable=False),
    _by_user_and_job(),
    Index("ready_by_rank", "flow_id", "rank", "job_id"),
    _in_lane("ready_in_lane", "flow_id", "lane_id"),
)

lease = Table(
    "lease",
    metadata,
    *_place(),
    _lane(),
    Column("token", BigInteger, nullable=False),
    Column("worker_id", Text, nullable=False),
    Column("cancel_requested_at", Moment),
    Column("progress", REAL),
    Column("charge", REAL, nullable=False, server_default=text("0")),
    Column("progress_note", Text),
    PrimaryKeyConstraint("job_id"),
    CheckConstraint("attempts < max_attempts", name="lease_attempts"),
    Index("lease_to_stop", "worker_id", postgresql_where=text("cancel_requested_at is not null")),
    _in_lane("lease_in_lane", "flow_id", "lane_id"),
)

finished = Table(
    "finished",
    metadata,
    *_place(),
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
    _user(),
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
)

counter = Table(
    "counter",
    metadata,
    Column("flow_id", Integer, ForeignKey("flow.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", Uuid, nullable=False),
    *_counts(BigInteger),
    Index("counter_by_user", "user_id"),
)

counter_delta = Table(
    "counter_delta",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("flow_id", Integer, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("at", Moment, nullable=False, server_default=NOW),
    *_counts(Integer),
    Column("waits", ARRAY(SmallInteger)),
    Column("used", Double, nullable=False, server_default=text("0")),
    Column("charged", Double, nullable=False, server_default=text("0")),
    Index("counter_delta_by_user", "user_id"),
)

schedule = Table(
    "schedule",
    metadata,
    Column("id", Uuid, primary_key=True),
    _user(),
    Column("name", Text, nullable=False),
    Column("cron", Text),
    Column("every_ms", BigInteger),
    Column("timezone", Text, nullable=False),
    Column("anchor", Moment, nullable=False),
    Column("missed", Text, nullable=False),
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
    CheckConstraint("not paused or next_run_at is null", name="schedule_paused"),
    CheckConstraint("held_until is null or next_run_at is not null", name="schedule_held"),
    Index(
        "schedule_due",
        "next_run_at",
        postgresql_where=text("next_run_at is not null and held_until is null"),
    ),
    Index("schedule_held", "held_until", postgresql_where=text("held_until is not null")),
)

minute = Table(
    "minute",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("succeeded", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
)

minute_wait = Table(
    "minute_wait",
    metadata,
    Column("user_id", Uuid, primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("bucket", SmallInteger, primary_key=True, autoincrement=False),
    Column("jobs", Integer, nullable=False),
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
