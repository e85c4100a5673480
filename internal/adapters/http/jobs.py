"""The routes of jobs."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter

from internal.adapters.http import job_shapes as shapes
from internal.adapters.http.answers import JsonAnswer
from internal.adapters.http.cursors import Number, PageQuery, page_of, read_cursor, write_cursor
from internal.adapters.http.faults import invalid
from internal.adapters.http.requests import ApiRequest, header, read_query
from internal.adapters.http.routes import also, private
from internal.domain.errors import (
    FieldError,
    IdempotencyConflictError,
    InvalidStateError,
    LimitReachedError,
    NotFoundError,
    PayloadTooLargeError,
    QuotaExceededError,
    ValidationError,
)
from internal.domain.jobs import Status
from internal.domain.submission import IdempotencyKey, Submission
from internal.services.jobs import Jobs

TAGS: Final = ("Jobs",)
KEY_HEADER: Final = "Idempotency-Key"
KEY_NAME: Final = KEY_HEADER.lower().encode()

KEY_MEANING: Final = (
    "A name that you give this request, here or as `idempotency_key`: repeated, it makes no second"
    " job"
)

JobId = Annotated[UUID, PathParameter(description="A job's id")]


class JobRoutes:
    """Submitting jobs, looking at them, and changing their course."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._types = jobs.types()

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        refusals = (IdempotencyConflictError, LimitReachedError, PayloadTooLargeError)
        taking = (*refusals, QuotaExceededError)
        submit = private("submit", "Submit a job", *taking, tags=TAGS)
        also(submit, 200, shapes.SubmittedAnswer, "The job that the idempotency key named already")
        batch = private("submitBatch", "Submit up to 10,000 jobs, all or none", *taking, tags=TAGS)
        listing = private("list", "List your jobs", tags=TAGS)
        job = private("get", "Get a job", NotFoundError, tags=TAGS)
        attempts = private("attempts", "List a job's attempts", NotFoundError, tags=TAGS)
        changing = (NotFoundError, InvalidStateError)
        why = private("why", "Ask why a job waits", NotFoundError, tags=TAGS)
        cancel = private("cancel", "Cancel a job", *changing, tags=TAGS)
        also(cancel, 202, shapes.JobAnswer, "The job runs and its handler is asked to stop")
        retry = private("retry", "Retry a failed or canceled job", *changing, tags=TAGS)
        forget = private("delete", "Delete a finished job", *changing, tags=TAGS)
        types = private("jobTypes", "List the job types", tags=TAGS)
        stats = private("stats", "Get your numbers", tags=TAGS)
        return [
            post("/v1/jobs", opt={"headers": {KEY_HEADER: KEY_MEANING}}, **submit)(self.submit),
            post("/v1/jobs/batch", **batch)(self.submit_batch),
            get("/v1/jobs", opt={"query": shapes.JobsQuery}, **listing)(self.page),
            get("/v1/jobs/{id:str}", **job)(self.get),
            get("/v1/jobs/{id:str}/attempts", opt={"query": PageQuery}, **attempts)(self.attempts),
            get("/v1/jobs/{id:str}/why", **why)(self.why),
            post("/v1/jobs/{id:str}/cancel", status_code=200, **cancel)(self.cancel),
            post("/v1/jobs/{id:str}/retry", status_code=200, **retry)(self.retry),
            delete("/v1/jobs/{id:str}", **forget)(self.delete),
            get("/v1/job-types", **types)(self.types),
            get("/v1/stats", **stats)(self.stats),
        ]

    async def submit(
        self, request: ApiRequest, data: JSONBody[Submission]
    ) -> Response[shapes.SubmittedAnswer]:
        """Take in a job to run now, or at `run_at`, or after `delay_ms`. Only `type` is required.

        `type` names the handler that runs it: `GET /v1/job-types` lists those installed. A job of
        another type is taken in too, and waits until a worker has a handler for it.

        With an idempotency key the request can be repeated when its answer was lost: the job that
        exists is answered, with 200 and `"deduplicated": true`.
        """
        submission = _with_key(data, header(request, KEY_NAME))
        job, existed = await self._jobs.submit(request.user, submission)
        answer = shapes.SubmittedAnswer(shapes.submitted_job(job, deduplicated=existed))
        return JsonAnswer(answer, status_code=200 if existed else 201)

    async def submit_batch(
        self, request: ApiRequest, data: JSONBody[shapes.BatchRequest]
    ) -> Response[shapes.BatchAnswer]:
        """Take in many jobs in one step; when one of them is refused, none is taken in.

        Jobs of a batch may wait for each other: give one a `name`, and another
        `"depends_on": ["@name"]`. `GET /v1/batches/{id}` tells how far the batch is.
        """
        if header(request, KEY_NAME) is not None:
            fault = FieldError(KEY_HEADER, "names one job: give each job its idempotency_key")
            raise ValidationError.of(fault)
        batch = await self._jobs.submit_batch(request.user, data.jobs)
        jobs = [shapes.BatchedJob(each.id, each.status, each.deduplicated) for each in batch.jobs]
        return JsonAnswer(shapes.BatchAnswer(shapes.Batch(batch.id, jobs)), status_code=201)

    async def page(self, request: ApiRequest) -> shapes.JobsAnswer:
        """The newest submission comes first; filters that are given must all hold.

        Payloads and errors are cut to previews of 200 characters: `GET /v1/jobs/{id}` has all of
        a job. Pass `next_cursor` as `cursor`, with the same filters, for the page that follows.
        """
        query = read_query(request, shapes.JobsQuery)
        page = await self._jobs.page(request.user, query, page_of(query.limit, query.cursor))
        return shapes.JobsAnswer(page.jobs, write_cursor(page.next_before))

    async def get(self, request: ApiRequest, id: JobId) -> shapes.JobAnswer:
        """A job with its status, its payload as it was sent, and its result or last error."""
        return shapes.JobAnswer(shapes.shown_job(await self._jobs.get(request.user, id)))

    async def attempts(self, request: ApiRequest, id: JobId) -> shapes.AttemptsAnswer:
        """The starts of the job, the newest first: which worker ran it, when, and how it ended.

        A start that still runs is the first one and has no `finished_at`.
        """
        query = read_query(request, PageQuery)
        before = read_cursor(query.cursor, Number)
        page = await self._jobs.attempts(request.user, id, query.limit, before)
        return shapes.AttemptsAnswer(page.attempts, write_cursor(page.next_before))

    async def why(self, request: ApiRequest, id: JobId) -> shapes.WhyAnswer:
        """Name what holds the job up, such as its time, a paused queue, a limit or other jobs.

        `estimated_start_at` is reckoned from how long such jobs ran lately; it is null where
        nothing tells. A job that runs or has ended has the gate `none`.
        """
        return shapes.WhyAnswer(await self._jobs.why(request.user, id))

    async def cancel(self, request: ApiRequest, id: JobId) -> Response[shapes.JobAnswer]:
        """A job that waits is canceled at once (200).

        Of one that runs, the handler is asked to stop (202), within two seconds: it is canceled
        when the handler ends, unless that succeeds first. Jobs that wait for it are canceled too,
        unless they are to run anyway.
        """
        job = await self._jobs.cancel(request.user, id)
        asked = job.status is Status.RUNNING
        return Response(shapes.JobAnswer(shapes.shown_job(job)), status_code=202 if asked else 200)

    async def retry(self, request: ApiRequest, id: JobId) -> shapes.JobAnswer:
        """Queue the job again, for one more attempt at least; its earlier attempts are kept.

        Jobs that were canceled because this one failed come back with it.
        """
        return shapes.JobAnswer(shapes.shown_job(await self._jobs.retry(request.user, id)))

    async def delete(self, request: ApiRequest, id: JobId) -> None:
        """Forget the job with its attempts, log and result, and free its idempotency key.

        Only a job that has succeeded, failed or been canceled can be deleted.
        """
        await self._jobs.delete(request.user, id)

    async def types(self) -> shapes.JobTypesAnswer:
        """What this installation's workers can run, each with the JSON schema of its payload.

        `mock` and `http` are always there; the operator may have added others.
        """
        return shapes.JobTypesAnswer(self._types, None)

    async def stats(self, request: ApiRequest) -> shapes.StatsAnswer:
        """How many jobs you have in each status, and what ended in each of the last 60 minutes.

        A minute also has how long jobs waited to start, in milliseconds: the median, and what 95
        of 100 did not exceed. The example shows two of the minutes.
        """
        return shapes.StatsAnswer(shapes.shown_stats(await self._jobs.stats(request.user)))


def _with_key(submission: Submission, sent: bytes | None) -> Submission:
    """The submission with the key of the header, which must not contradict the field."""
    if sent is None:
        return submission
    key = _read_key(sent)
    if submission.idempotency_key not in {None, key}:
        fault = FieldError("idempotency_key", f"differs from the header {KEY_HEADER}: send one")
        raise ValidationError.of(fault)
    return msgspec.structs.replace(submission, idempotency_key=key)


def _read_key(sent: bytes) -> Any:
    try:
        return msgspec.convert(sent.decode(), IdempotencyKey)
    except UnicodeDecodeError as error:
        raise ValidationError.of(FieldError(KEY_HEADER, "is not UTF-8")) from error
    except msgspec.ValidationError as error:
        raise invalid(str(error), KEY_HEADER) from error
