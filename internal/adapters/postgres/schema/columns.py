"""The columns and keys that several tables share."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

metadata: Final = MetaData()

Moment: Final = TIMESTAMP(timezone=True)
NOW: Final = func.now()


def owner(*, primary_key: bool = False) -> Column[object]:
    """Whose it is; it goes with the account."""
    account_id = ForeignKey("account.id", ondelete="CASCADE")
    return Column("user_id", Uuid, account_id, primary_key=primary_key, nullable=False)


def of_queue(*, primary_key: bool = False) -> Column[object]:
    """The queue that it belongs to and goes with."""
    queue_id = ForeignKey("queue.id", ondelete="CASCADE")
    return Column("queue_id", Integer, queue_id, primary_key=primary_key, nullable=False)


def place() -> list[Column[object]]:
    """What each table of places knows about a job."""
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


def lane_id(*, nullable: bool = True) -> Column[object]:
    """The lane that a job stands in, or came through."""
    return Column("lane_id", Integer, nullable=nullable)


def in_lane(name: str, *columns: str) -> Index:
    """An index of jobs that have a lane."""
    return Index(name, *columns, postgresql_where=text("lane_id is not null"))


def counts(kind: type[Integer]) -> list[Column[object]]:
    """How many jobs there are of each status."""
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


def by_user_and_job() -> PrimaryKeyConstraint:
    """The key of places: a user's jobs stand together in it."""
    return PrimaryKeyConstraint("user_id", "job_id")
