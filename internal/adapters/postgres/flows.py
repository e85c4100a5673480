"""The flows that jobs are lined up in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from asyncpg import ForeignKeyViolationError

from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.statements import statement
from internal.domain.errors import UnauthenticatedError

# A user, a queue of theirs, a route.
Flow = tuple[UUID, str, str]

# About 30 MB; asking again costs one short statement.
KNOWN_FLOWS: Final = 100_000


class Flows:
    """The numbers of flows, looked up once: a flow is never deleted while its user exists."""

    def __init__(self) -> None:
        self._known: dict[Flow, int] = {}

    async def numbers(self, connection: Hot, flows: Iterable[Flow]) -> dict[Flow, int]:
        """The number of each flow, made on first use.

        Raises:
            UnauthenticatedError: when an account does not exist any more.
        """
        wanted = set(flows)
        if len(self._known) > KNOWN_FLOWS:
            self._known.clear()
        found = {flow: self._known[flow] for flow in wanted if flow in self._known}
        if len(found) == len(wanted):
            return found
        while missing := wanted - found.keys():
            # One that another transaction has just made is not yet visible: look again.
            found |= await _look_up(connection, missing)
        self._known |= found
        return found


async def _look_up(connection: Hot, flows: set[Flow]) -> dict[Flow, int]:
    try:
        rows = await connection.fetch(statement("flow"), *map(list, zip(*flows, strict=True)))
    except ForeignKeyViolationError as error:
        raise UnauthenticatedError("this account does not exist any more") from error
    return {(row["user_id"], row["queue"], row["route"]): row["id"] for row in rows}
