"""The routes of schedules."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example
from litestar.params import Body, PathParameter

from internal.adapters.http import schedule_shapes as shapes
from internal.adapters.http.cursors import page_of, write_cursor
from internal.adapters.http.job_shapes import JobAnswer, shown_job
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.errors import (
    LimitReachedError,
    NameTakenError,
    NotFoundError,
    PayloadTooLargeError,
    WindlassError,
)
from internal.domain.schedules import Schedule, ScheduleRequest
from internal.services.schedules import Schedules

TAGS: Final = ("Schedules",)
PATH: Final = "/v1/schedules/{id:str}"

EXAMPLE: Final = {
    "name": "nightly report",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "missed": "once",
    "job": {"type": "mock", "payload": {"sleep_ms": 1200}},
}
OTHER_EXAMPLE: Final = {
    "name": "refresh",
    "every_ms": 90_000,
    "missed": "skip",
    "paused": True,
    "job": {"type": "mock", "queue": "refreshing"},
}
Sent = Annotated[ScheduleRequest, Body(examples=[Example(value=EXAMPLE)])]
Replacement = Annotated[ScheduleRequest, Body(examples=[Example(value=OTHER_EXAMPLE)])]
ScheduleId = Annotated[UUID, PathParameter(description="A schedule's id")]


class ScheduleRoutes:
    """Having the same job submitted again and again."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        taking = (NameTakenError, PayloadTooLargeError)
        create = _route("create", "Make a schedule", LimitReachedError, *taking)
        listing = private("listSchedules", "Your schedules, a page at a time", tags=TAGS)
        preview = _route("preview", "When a schedule runs next", NotFoundError)
        replace = _route("replace", "Replace a schedule", NotFoundError, *taking)
        run = _route("run", "Submit a schedule's job now", NotFoundError, PayloadTooLargeError)
        pause = _route("pause", "Have a schedule run no more", NotFoundError)
        resume = _route("resume", "Have a schedule run again, from now on", NotFoundError)
        forget = _route("delete", "Delete a schedule, not its jobs", NotFoundError)
        return [
            post("/v1/schedules", **create)(self.create),
            get("/v1/schedules", opt={"query": shapes.SchedulesQuery}, **listing)(self.page),
            get(PATH, **_route("get", "A schedule", NotFoundError))(self.get),
            get(PATH + "/preview", opt={"query": shapes.PreviewQuery}, **preview)(self.preview),
            put(PATH, **replace)(self.replace),
            post(PATH + "/run", **run)(self.run),
            post(PATH + "/pause", status_code=200, **pause)(self.pause),
            post(PATH + "/resume", status_code=200, **resume)(self.resume),
            delete(PATH, **forget)(self.delete),
        ]

    async def create(self, request: ApiRequest, data: Sent) -> shapes.ScheduleAnswer:
        return _answer(await self._schedules.create(request.user, data))

    async def page(self, request: ApiRequest) -> shapes.SchedulesAnswer:
        query = read_query(request, shapes.SchedulesQuery)
        wanted = page_of(query.limit, query.cursor)
        page = await self._schedules.page(request.user, wanted)
        shown = [shapes.shown_schedule(each) for each in page.schedules]
        return shapes.SchedulesAnswer(shown, write_cursor(page.next_before))

    async def get(self, request: ApiRequest, id: ScheduleId) -> shapes.ScheduleAnswer:
        return _answer(await self._schedules.get(request.user, id))

    async def preview(self, request: ApiRequest, id: ScheduleId) -> shapes.PreviewAnswer:
        query = read_query(request, shapes.PreviewQuery)
        return shapes.PreviewAnswer(await self._schedules.preview(request.user, id, query.n))

    async def replace(
        self, request: ApiRequest, id: ScheduleId, data: Replacement
    ) -> shapes.ScheduleAnswer:
        return _answer(await self._schedules.replace(request.user, id, data))

    async def run(self, request: ApiRequest, id: ScheduleId) -> JobAnswer:
        return JobAnswer(shown_job(await self._schedules.run(request.user, id)))

    async def pause(self, request: ApiRequest, id: ScheduleId) -> shapes.ScheduleAnswer:
        return _answer(await self._schedules.pause(request.user, id))

    async def resume(self, request: ApiRequest, id: ScheduleId) -> shapes.ScheduleAnswer:
        return _answer(await self._schedules.resume(request.user, id))

    async def delete(self, request: ApiRequest, id: ScheduleId) -> None:
        await self._schedules.delete(request.user, id)


def _route(verb: str, summary: str, *errors: type[WindlassError]) -> dict[str, Any]:
    return private(f"{verb}Schedule", summary, *errors, tags=TAGS)


def _answer(schedule: Schedule) -> shapes.ScheduleAnswer:
    return shapes.ScheduleAnswer(shapes.shown_schedule(schedule))
