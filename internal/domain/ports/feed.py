"""Carrying changes to whoever watches, and wake-ups between processes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec


class Topic(StrEnum):
    """What a wake-up is about. A wake-up is a hint: polling finds the truth without it."""

    READY = "ready"
    SCHEDULED = "scheduled"
    SCHEDULES = "schedules"
    CANCEL = "cancel"
    GATE = "gate"
    RELEASE = "release"
    OUTBOX = "outbox"
    FEED = "feed"
    OPERATIONS = "operations"


class Kind(StrEnum):
    """What an entry of the feed tells."""

    CHANGED = "changed"
    PROGRESS = "progress"
    LOGGED = "logged"
    ENDED = "ended"
    BATCH = "batch"


class Change(msgspec.Struct, frozen=True):
    """An entry of the feed about one user.

    `kind` is None where a newer release wrote one that is unknown here.

    `ids` are the jobs that changed, progressed or logged lines, the session that ended, or batches
    whose last job has. None stands for more than is worth naming, and for what no job's event can
    tell, such as a deletion.
    """

    position: int
    user_id: UUID
    kind: Kind | None
    ids: tuple[UUID, ...] | None


class Listeners(Protocol):
    """Whose changes are told: what happens to anybody else's jobs is not even noted down."""

    async def listen(self, user_ids: Collection[UUID], ttl: timedelta) -> set[UUID]:
        """Have these users' changes told for `ttl`; those among them whose were not until now.

        A transaction that was under way by then may still change jobs of theirs untold.
        """

    async def telling(self) -> set[str]:
        """The transactions under way that move jobs, by names that are never used again.

        Whichever is not named after `listen` has returned tells all that was asked for.
        """


class Relay(Protocol):
    """Putting committed changes in an order that readers can follow."""

    async def relay(self, limit: int) -> int | None:
        """Move outbox rows to the feed; how many, None while another process does it."""


class Feed(Protocol):
    """Reading the ordered changes."""

    async def newest(self) -> int:
        """The position of the last entry, 0 when there is none."""

    async def after(self, position: int, limit: int) -> list[Change]:
        """The entries after a position, in order and without gaps."""


class Wakeups(Protocol):
    """Hints between processes that there is work."""

    def send(self, *topics: Topic) -> None:
        """Wake whoever listens, also in this process; many within a few milliseconds become one."""

    def subscribe(self, wake: Callable[[], None], *topics: Topic) -> AbstractContextManager[None]:
        """Call `wake` on any of these topics while the context is open."""
