"""The route of what jobs log."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from internal.adapters.http.cursors import Cursor, read_cursor, write_cursor
from internal.adapters.http.jobs import TAGS, JobId
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.attempt_log import DEFAULT_LOG_PAGE, MAX_LOG_PAGE, LogLine, LogPlace
from internal.domain.errors import NotFoundError
from internal.services.jobs import Jobs

# As the database numbers attempts.
LARGEST: Final = 2**31 - 1


class LogsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lines of a job's log, and which page of them."""

    attempt: Annotated[
        int, Meta(ge=0, le=LARGEST, description="The attempt whose lines to read; 0 is all of them")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_LOG_PAGE, description="How many lines at most")] = (
        DEFAULT_LOG_PAGE
    )
    cursor: Cursor = None


class LogsAnswer(msgspec.Struct, frozen=True):
    """A page of a job's log, the oldest line first; `next_cursor` is null on the last one."""

    data: list[LogLine]
    next_cursor: str | None


class LogRoutes:
    """Reading what handlers logged."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        logs = private("logs", "Read a job's log", NotFoundError, tags=TAGS)
        return [get("/v1/jobs/{id:str}/logs", opt={"query": LogsQuery}, **logs)(self.logs)]

    async def logs(self, request: ApiRequest, id: JobId) -> LogsAnswer:
        """The lines that the job's handler logged, the oldest first, of all attempts or of one."""
        query = read_query(request, LogsQuery)
        after = read_cursor(query.cursor, LogPlace) or LogPlace()
        page = await self._jobs.logs(request.user, id, after, query.attempt or None, query.limit)
        return LogsAnswer(page.lines, write_cursor(page.next_after))
