"""Who uses the installation, and how they sign in."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from internal.adapters.postgres.schema.columns import (
    NOW,
    Moment,
    metadata,
    owner,
)

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
    owner(),
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
    owner(),
    Column("session_id", Uuid, ForeignKey("session.id", ondelete="CASCADE"), nullable=False),
    Column("token_expires_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Index("ticket_by_expiry", "expires_at"),
    Index("ticket_by_session", "session_id"),
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
    owner(primary_key=True),
    Column("virtual_time", Double, nullable=False, server_default=text("0")),
    Column("weight", Double, nullable=False, server_default=text("1")),
    Column("awake", Boolean, nullable=False, server_default=text("false")),
    Column("drained", Boolean, nullable=False, server_default=text("true")),
    Index("tenant_in_line", "awake", "virtual_time"),
    CheckConstraint("weight > 0", name="tenant_weight"),
)
