"""Who watches, and a store that plays along."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from internal.domain.accounts import Actor


def an_actor(user_id: UUID | None = None) -> Actor:
    return Actor(user_id or uuid4(), uuid4(), datetime.now(UTC) + timedelta(hours=1))


class ListenersByHand:
    """Fits the port Listeners; a test says which transactions are under way, and what lapses."""

    def __init__(self) -> None:
        self.known: set[UUID] = set()
        self.asked: list[set[UUID]] = []
        self.under_way: set[str] = set()
        self.failing: Exception | None = None

    async def listen(self, user_ids: Collection[UUID], ttl: timedelta) -> set[UUID]:
        self.asked.append(set(user_ids))
        new = set(user_ids) - self.known
        self.known |= new
        return new

    async def telling(self) -> set[str]:
        if self.failing is not None:
            failure, self.failing = self.failing, None
            raise failure
        return set(self.under_way)
