"""The report of what always holds."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from internal.domain.accounts import Actor, Role
from internal.domain.errors import ForbiddenError, UnauthenticatedError
from internal.domain.invariants import INVARIANTS, Breach, Finding, Invariant
from internal.domain.ports.accounts import Users
from internal.domain.ports.invariants import Inspection

# How long an answer is given again: a page that asks every second costs one look in thirty.
KEPT: Final = timedelta(seconds=30)
# Violations named for one invariant; the others are counted.
NAMED: Final = 20


class Invariants:
    """One look at a time; whoever asks meanwhile gets the same answer."""

    def __init__(self, inspection: Inspection, users: Users, now: Callable[[], datetime]) -> None:
        self._inspection = inspection
        self._users = users
        self._now = now
        self._looking = asyncio.Lock()
        self._kept: tuple[datetime, list[Finding]] | None = None

    async def report(self, actor: Actor) -> list[Finding]:
        """How each invariant stands, looked at within the last `KEPT`.

        Raises:
            ForbiddenError: unless the actor is an admin.
        """
        await self._admit(actor)
        async with self._looking:
            if self._kept is None or self._now() - self._kept[0] >= KEPT:
                self._kept = await self._look()
            return self._kept[1]

    async def _admit(self, actor: Actor) -> None:
        user = await self._users.get(actor.user_id)
        if user is None:
            raise UnauthenticatedError("This account does not exist any more")
        if user.role is not Role.ADMIN:
            raise ForbiddenError("Only admins may do this: ask one of your installation's")

    async def _look(self) -> tuple[datetime, list[Finding]]:
        tally, began = Tally(), self._now()
        async for breaches in self._inspection.breaches():
            for each in breaches:
                tally.add(each)
        return began, [tally.finding(each, began) for each in INVARIANTS]


class Tally:
    """Names the first breaches of each invariant and counts them all."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._named: defaultdict[int, list[str]] = defaultdict(list)

    def add(self, breach: Breach) -> None:
        self._counts[breach.number] += 1
        if len(self._named[breach.number]) < NAMED:
            self._named[breach.number].append(breach.what)

    def finding(self, invariant: Invariant, at: datetime) -> Finding:
        named, count = self._named[invariant.number], self._counts[invariant.number]
        more = count - len(named)
        return Finding(
            number=invariant.number,
            statement=invariant.statement,
            how=invariant.how,
            holds=count == 0,
            violations=(*named, *([f"and {more} more"] if more else [])),
            checked_at=at,
        )
