"""Keeping users to so many unfinished jobs each."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec

from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.intake import Entry
from internal.adapters.postgres.statements import statement
from internal.domain.errors import QuotaExceededError
from internal.domain.quota import beyond, quota_exceeded

# How long a count is good for, and for which part of the room that it found.
FRESH_S: Final = 1.0
PART: Final = 10

Refusals = dict[UUID, QuotaExceededError]
Keys = frozenset[tuple[UUID, str]]


class _Room(msgspec.Struct):
    """What this process knows of one user.

    `admitted` and `settled` are sums over time: of jobs that may be kept, and of those of which it
    is known whether they were. `free` may be admitted before the next count.
    """

    asking: int = 0
    admitted: int = 0
    settled: int = 0
    free: int = 0
    counted_at: float = -math.inf


class _Request(msgspec.Struct):
    """One user's part of a submission, and the count that was made for it."""

    room: _Room
    entries: list[Entry] = msgspec.field(default_factory=list)
    admitted: int = 0
    counted: int = 0
    settled_before: int = 0

    @property
    def unfinished(self) -> int:
        """What was counted, and all that the count may have missed."""
        return self.counted + self.room.admitted - self.settled_before

    @property
    def is_doubtful(self) -> bool:
        """Whether what was added may have been counted as well."""
        return self.room.settled != self.settled_before

    def admit(self, jobs: int) -> None:
        """Hold room for so many until it is known that they are kept."""
        self.admitted = jobs
        self.room.admitted += jobs


class Quota:
    """At most `limit` unfinished jobs a user, by the counters and never by a sum of its own.

    A user is counted once a second, and the more often the less room there is: between two counts
    a tenth of it is given away. What this process is about to commit is added, so one process is
    exact. Of several each may be a second late: together they can pass the limit by a tenth of it
    for each further process, when a user fills it within that second.
    """

    def __init__(self, limit: int, *, now: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._now = now
        self._rooms: dict[UUID, _Room] = {}
        self._swept_at = now()

    @asynccontextmanager
    async def admit(self, connection: Hot, entries: Sequence[Entry]) -> AsyncIterator[Refusals]:
        """The jobs that may not be kept; the others hold their room until the context ends."""
        self._forget_idle()
        requests = self._requests(entries)
        try:
            yield await self._refuse(connection, requests)
        finally:
            for request in requests:
                request.room.asking -= 1
                request.room.settled += request.admitted

    def _requests(self, entries: Sequence[Entry]) -> list[_Request]:
        requests: dict[UUID, _Request] = {}
        for entry in entries:
            user_id = entry.flow[0]
            if user_id not in requests:
                room = self._rooms.setdefault(user_id, _Room())
                room.asking += 1
                requests[user_id] = _Request(room)
            requests[user_id].entries.append(entry)
        return list(requests.values())

    async def _refuse(self, connection: Hot, requests: Sequence[_Request]) -> Refusals:
        refused: Refusals = {}
        unsure = [request for request in requests if not self._is_far(request)]
        while unsure:
            await _count(connection, unsure)
            short = any(map(self._is_short, unsure))
            existing = await _existing(connection, unsure) if short else frozenset()
            # From here to the next round no other submission is looked at.
            unsure = [each for each in unsure if not self._decide(each, existing, refused)]
        return refused

    def _is_far(self, request: _Request) -> bool:
        """Admit jobs of a user who has so much room that the last count says enough."""
        room, jobs = request.room, len(request.entries)
        if jobs > room.free or self._now() - room.counted_at > FRESH_S:
            return False
        room.free -= jobs
        request.admit(jobs)
        return True

    def _is_short(self, request: _Request) -> bool:
        return request.unfinished + len(request.entries) > self._limit

    def _decide(self, request: _Request, existing: Keys, refused: Refusals) -> bool:
        """Admit what there is room for; False when another count is needed to say."""
        room, entries, unfinished = request.room, request.entries, request.unfinished
        keys = [_key(entry) for entry in entries]
        places = beyond(self._limit - unfinished, keys, existing)
        if places and request.is_doubtful:
            return False
        error = quota_exceeded(self._limit, unfinished)
        refused |= {entries[place].job.id: error for place in places}
        request.admit(len(entries) - len(places))
        room.free = (self._limit - request.unfinished) // PART
        room.counted_at = self._now()
        return True

    def _forget_idle(self) -> None:
        """Whoever asks for nothing and must be counted anew is like somebody unknown."""
        now = self._now()
        if now - self._swept_at > FRESH_S:
            self._swept_at = now
            self._rooms = {
                user_id: room
                for user_id, room in self._rooms.items()
                if room.asking or now - room.counted_at <= FRESH_S
            }


def admitting(
    quota: Quota | None, connection: Hot, entries: Sequence[Entry]
) -> AbstractAsyncContextManager[Refusals]:
    """`Quota.admit`, which refuses nobody where there is no limit."""
    return nullcontext({}) if quota is None else quota.admit(connection, entries)


async def _count(connection: Hot, requests: Sequence[_Request]) -> None:
    for request in requests:
        request.settled_before = request.room.settled
    by_user = {request.entries[0].flow[0]: request for request in requests}
    for row in await connection.fetch(statement("unfinished"), list(by_user)):
        by_user[row["user_id"]].counted = row["jobs"]


async def _existing(connection: Hot, requests: Iterable[_Request]) -> Keys:
    """Which of their jobs' idempotency keys name jobs already."""
    keys = {key for request in requests for entry in request.entries if (key := _key(entry))}
    if not keys:
        return frozenset()
    rows = await connection.fetch(statement("existing"), *map(list, zip(*keys, strict=True)))
    return frozenset((row["user_id"], row["key"]) for row in rows)


def _key(entry: Entry) -> tuple[UUID, str] | None:
    key = entry.job.idempotency_key
    return None if key is None else (entry.flow[0], key)
