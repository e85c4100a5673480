"""Which jobs a list shows, and where its next page begins."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.jobs import JobSummary, Priority, Status

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 20


class JobFilter(msgspec.Struct, frozen=True):
    """Conditions that all must hold; within one, any of its values may. Empty means any."""

    status: tuple[Status, ...] = ()
    queue: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    priority: tuple[Priority, ...] = ()
    tag: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None


class Page(msgspec.Struct, frozen=True):
    """A keyset page: at most `limit` jobs older than `before`, the newest submission first."""

    limit: int = DEFAULT_PAGE
    before: UUID | None = None


class JobPage(msgspec.Struct, frozen=True):
    """One page; `next_before` starts the next one, None at the end."""

    jobs: list[JobSummary]
    next_before: UUID | None
