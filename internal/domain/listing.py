"""Which jobs a list shows, and where its next page begins."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from internal.domain.jobs import JobSummary, Priority, Status
from internal.domain.submission import PRINTABLE, QueueName, Tag, TypeName
from internal.domain.times import Moment

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 20

WorkerName = Annotated[str, Meta(min_length=1, max_length=100, pattern=PRINTABLE)]


class JobFilter(msgspec.Struct, frozen=True):
    """Conditions that all must hold; within one, any of its values may. Empty means any."""

    status: tuple[Status, ...] = ()
    queue: tuple[QueueName, ...] = ()
    type: tuple[TypeName, ...] = ()
    priority: tuple[Priority, ...] = ()
    tag: tuple[Tag, ...] = ()
    worker: tuple[WorkerName, ...] = ()
    created_after: Moment | None = None
    created_before: Moment | None = None
    finished_after: Moment | None = None
    finished_before: Moment | None = None


class Page(msgspec.Struct, frozen=True):
    """A keyset page: at most `limit` jobs older than `before`, the newest submission first."""

    limit: int = DEFAULT_PAGE
    before: UUID | None = None


class JobPage(msgspec.Struct, frozen=True):
    """One page; `next_before` starts the next one, None at the end."""

    jobs: list[JobSummary]
    next_before: UUID | None
