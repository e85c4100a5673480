"""The routes of dead letters: failures in groups."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from internal.adapters.http.cursors import read_cursor, write_cursor
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.failures import FailureGroup, GroupMark
from internal.domain.listing import DEFAULT_PAGE, MAX_PAGE
from internal.services.dead_letters import DeadLetters

TAGS: Final = ("Dead letters",)


class FailuresQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of the groups."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str | None = None


class FailuresAnswer(msgspec.Struct, frozen=True):
    """A page of groups, the most frequent first; `next_cursor` is null on the last one."""

    data: list[FailureGroup]
    next_cursor: str | None


class DeadLetterRoutes:
    """Looking at what failed."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        failures = private("failures", "Your failed jobs by what went wrong", tags=TAGS)
        return [get("/v1/failures", opt={"query": FailuresQuery}, **failures)(self.failures)]

    async def failures(self, request: ApiRequest) -> FailuresAnswer:
        query = read_query(request, FailuresQuery)
        after = read_cursor(query.cursor, GroupMark)
        page = await self._letters.failures(request.user, query.limit, after)
        following = write_cursor(page.following)
        return FailuresAnswer(page.groups, following)
