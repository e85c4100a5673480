"""The routes of schedules."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter

from internal.adapters.http import schedule_shapes as shapes
from internal.adapters.http.cursors import PageQuery, page_of, write_cursor
from internal.adapters.http.job_shapes import JobAnswer, shown_job
from internal.adapters.http.requests import ApiRequest, read_query
from internal.adapters.http.routes import private
from internal.domain.errors import (
    InvalidStateError,
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

ScheduleId = Annotated[UUID, PathParameter(description="A schedule's id")]


class ScheduleRoutes:
    """Having the same job submitted again and again."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        taking = (NameTakenError, PayloadTooLargeError)
        create = _route("create", "Make a schedule", LimitReachedError, *taking)
        listing = private("listSchedules", "List your schedules", tags=TAGS)
        preview = _route("preview", "Preview a schedule", NotFoundError)
        replace = _route("replace", "Replace a schedule", NotFoundError, *taking)
        running = (NotFoundError, PayloadTooLargeError, InvalidStateError, LimitReachedError)
        run = _route("run", "Run a schedule now", *running)
        pause = _route("pause", "Pause a schedule", NotFoundError)
        resume = _route("resume", "Resume a schedule", NotFoundError)
        forget = _route("delete", "Delete a schedule", NotFoundError)
        return [
            post("/v1/schedules", **create)(self.create),
            get("/v1/schedules", opt={"query": PageQuery}, **listing)(self.page),
            get(PATH, **_route("get", "Get a schedule", NotFoundError))(self.get),
            get(PATH + "/preview", opt={"query": shapes.PreviewQuery}, **preview)(self.preview),
            put(PATH, **replace)(self.replace),
            post(PATH + "/run", **run)(self.run),
            post(PATH + "/pause", status_code=200, **pause)(self.pause),
            post(PATH + "/resume", status_code=200, **resume)(self.resume),
            delete(PATH, **forget)(self.delete),
        ]

    async def create(
        self, request: ApiRequest, data: JSONBody[ScheduleRequest]
    ) -> shapes.ScheduleAnswer:
        """Have a job submitted again and again: by `cron` in a time zone, or `every_ms`.

        `cron` has five fields: minute, hour, day of the month, month, day of the week. `missed`
        says what becomes of runs that a stopped server missed: `skip` leaves them out, `once`
        makes up for one, `all` for each. `overlap` says what becomes of a run while the job of the
        one before has not ended: `queue` submits another, `skip` leaves it out.
        """
        return _answer(await self._schedules.create(request.user, data))

    async def page(self, request: ApiRequest) -> shapes.SchedulesAnswer:
        """The newest schedule comes first, with when it runs next and ran last."""
        query = read_query(request, PageQuery)
        wanted = page_of(query.limit, query.cursor)
        page = await self._schedules.page(request.user, wanted)
        shown = [shapes.shown_schedule(each) for each in page.schedules]
        return shapes.SchedulesAnswer(shown, write_cursor(page.next_before))

    async def get(self, request: ApiRequest, id: ScheduleId) -> shapes.ScheduleAnswer:
        """A schedule with the job that it submits, when it runs next, and what it ran last.

        `last_error` says why its last run could not be submitted.
        """
        return _answer(await self._schedules.get(request.user, id))

    async def preview(self, request: ApiRequest, id: ScheduleId) -> shapes.PreviewAnswer:
        """The next times at which the schedule runs, in UTC; of a paused one, when it would."""
        query = read_query(request, shapes.PreviewQuery)
        return shapes.PreviewAnswer(await self._schedules.preview(request.user, id, query.n))

    async def replace(
        self, request: ApiRequest, id: ScheduleId, data: JSONBody[ScheduleRequest]
    ) -> shapes.ScheduleAnswer:
        """Send the whole schedule as it is to be; what the request leaves out gets its default.

        Jobs that it has submitted already stay as they are.
        """
        return _answer(await self._schedules.replace(request.user, id, data))

    async def run(self, request: ApiRequest, id: ScheduleId) -> JobAnswer:
        """Submit the schedule's job at once, paused or not; its times stay as they are.

        A schedule that skips overlaps is not run while its last job has not ended.
        """
        return JobAnswer(shown_job(await self._schedules.run(request.user, id)))

    async def pause(self, request: ApiRequest, id: ScheduleId) -> shapes.ScheduleAnswer:
        """Submit nothing until the schedule is resumed; jobs submitted already go on."""
        return _answer(await self._schedules.pause(request.user, id))

    async def resume(self, request: ApiRequest, id: ScheduleId) -> shapes.ScheduleAnswer:
        """Run again from now on: what would have run during the pause is not made up for."""
        return _answer(await self._schedules.resume(request.user, id))

    async def delete(self, request: ApiRequest, id: ScheduleId) -> None:
        """Submit nothing any more; jobs that the schedule has submitted stay and go on."""
        await self._schedules.delete(request.user, id)


def _route(verb: str, summary: str, *errors: type[WindlassError]) -> dict[str, Any]:
    return private(f"{verb}Schedule", summary, *errors, tags=TAGS)


def _answer(schedule: Schedule) -> shapes.ScheduleAnswer:
    return shapes.ScheduleAnswer(shapes.shown_schedule(schedule))
