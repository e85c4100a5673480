"""The flows that jobs are lined up in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar
from uuid import UUID

from asyncpg import ForeignKeyViolationError

from internal.adapters.postgres.contention import again
from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.statements import statement
from internal.domain.errors import LimitReachedError, UnauthenticatedError, UnavailableError

# A user, a queue of theirs, a route.
Flow = tuple[UUID, str, str]

T = TypeVar("T")

# About 30 MB; asking again costs one short statement.
KNOWN_FLOWS: Final = 100_000
# How often a submission meets queues that are deleted at that moment.
TRIES: Final = 5

MAKE: Final = "select * from make_flows($1, $2, $3, $4)"


class GoneFlowsError(Exception):
    """Some flows have been retired or forgotten since their numbers were looked up."""

    def __init__(self, numbers: Iterable[int]) -> None:
        super().__init__("the queue was just deleted")
        self.numbers = frozenset(numbers)


class Flows:
    """The numbers of flows, looked up once and made on first use.

    A number may be out of date: the submission then writes nothing, and asks again. A user has at
    most `most_queues` queues; 0 is no limit.
    """

    def __init__(self, most_queues: int = 0) -> None:
        self._most_queues = most_queues
        self._known: dict[Flow, int] = {}

    async def numbers(self, connection: Hot, flows: Iterable[Flow]) -> dict[Flow, int]:
        """The number of each flow; without those of a queue that would be one too many.

        Raises:
            UnauthenticatedError: when an account does not exist any more.
        """
        wanted = set(flows)
        if len(self._known) > KNOWN_FLOWS:
            self._known.clear()
        found = {flow: self._known[flow] for flow in wanted if flow in self._known}
        if len(found) == len(wanted):
            return found
        found |= await _look_up(connection, statement("flow"), wanted - found.keys())
        if missing := wanted - found.keys():
            found |= await _make(connection, missing, self._most_queues)
        self._known |= found
        return found

    def too_many(self) -> LimitReachedError:
        """The refusal of a job of one more queue."""
        return LimitReachedError(
            f"you have {self._most_queues:,} queues: delete one first, or use one that exists"
        )

    async def again(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something all or nothing, as `database.again`; anew where it met retired flows.

        Raises:
            UnavailableError: as `database.again`, and when queues are deleted again and again.
        """
        for _ in range(TRIES):
            try:
                return await again(work)
            except GoneFlowsError as gone:
                self._known = {
                    flow: number
                    for flow, number in self._known.items()
                    if number not in gone.numbers
                }
        raise UnavailableError("the queue was just deleted: try again", retry_after=1)


async def _make(connection: Hot, flows: set[Flow], most: int) -> dict[Flow, int]:
    try:
        return await _look_up(connection, MAKE, flows, most)
    except ForeignKeyViolationError as error:
        raise UnauthenticatedError("this account does not exist any more") from error


async def _look_up(connection: Hot, query: str, flows: set[Flow], *values: int) -> dict[Flow, int]:
    rows = await connection.fetch(query, *map(list, zip(*flows, strict=True)), *values)
    return {(row["user_id"], row["queue"], row["route"]): row["id"] for row in rows}
