"""Who watches in this process, and having the store tell what happens to their jobs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from time import monotonic
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.accounts import Actor
from internal.domain.ports.feed import Listeners
from internal.services.duty import Duty
from internal.services.watcher import News, Watcher

# Long enough to miss two renewals, and to go on for a minute after the last connection.
TTL: Final = timedelta(seconds=90)
RENEWED_EVERY_S: Final = 30.0
LOOK_AGAIN: Final = timedelta(milliseconds=10)


class _Wait(msgspec.Struct):
    """Users of whom these transactions may not know that somebody listens."""

    users: set[UUID]
    telling: set[str]


class Audience:
    """The live connections of one process.

    Statements tell only of users whom they find among the listeners, and one that began before
    such a user was added does not find them. So a user's changes all arrive here once each
    transaction that was under way then has ended: a few milliseconds as a rule.
    """

    def __init__(self, listeners: Listeners, *, now: Callable[[], float] = monotonic) -> None:
        self._listeners = listeners
        self._now = now
        self._watchers: defaultdict[UUID, set[Watcher]] = defaultdict(set)
        self._heard: set[UUID] = set()
        self._waits: list[_Wait] = []
        self._renewed = -math.inf
        self.duty = Duty("audience", self.run_once, pause=timedelta(seconds=1))

    def join(self, actor: Actor) -> Watcher:
        """Begin to hear of this user's jobs; `leave` ends it."""
        watcher = Watcher(actor)
        self._watchers[actor.user_id].add(watcher)
        if actor.user_id in self._heard:
            watcher.hear_all()
        else:
            self.duty.wake()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """End a watch; twice is fine."""
        user_id = watcher.actor.user_id
        watchers = self._watchers.get(user_id, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(user_id, None)
            self._heard.discard(user_id)

    def of(self, user_id: UUID) -> Collection[Watcher]:
        """Everybody who watches as this user, perhaps nobody."""
        return self._watchers.get(user_id, ())

    @property
    def users(self) -> Collection[UUID]:
        """Whoever has a live connection here."""
        return self._watchers.keys()

    def tell(self, user_id: UUID, news: Sequence[News]) -> None:
        """Tell all connections of a user."""
        for watcher in self.of(user_id):
            watcher.tell(news)

    async def run_once(self) -> timedelta | None:
        """Listen for those who came, renew the others, and see whom by now everybody knows of."""
        unknown = await self._listen()
        if unknown or self._waits:
            telling = await self._listeners.telling()
            for wait in self._waits:
                wait.telling &= telling
            if unknown:
                self._waits.append(_Wait(unknown, telling))
            self._end_waits()
        return LOOK_AGAIN if self._waits else None

    async def _listen(self) -> set[UUID]:
        """Those of whom, but for transactions that are under way, everybody knows from now on."""
        now = self._now()
        renew = now - self._renewed >= RENEWED_EVERY_S
        waiting = {user_id for wait in self._waits for user_id in wait.users}
        new = self._watchers.keys() - self._heard - waiting
        wanted = set(self._watchers) if renew else new
        # Somebody who was to be renewed may turn out new: the renewals before came too late.
        unknown = new | (await self._listeners.listen(wanted, TTL) if wanted else set())
        self._heard -= unknown
        if renew:
            self._renewed = now
        return unknown

    def _end_waits(self) -> None:
        over = [wait for wait in self._waits if not wait.telling]
        self._waits = [wait for wait in self._waits if wait.telling]
        for user_id in {each for wait in over for each in wait.users} & self._watchers.keys():
            self._heard.add(user_id)
            for watcher in self._watchers[user_id]:
                watcher.hear_all()
