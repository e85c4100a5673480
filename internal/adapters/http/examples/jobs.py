"""Examples of jobs, one by one."""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from internal.adapters.http import job_shapes as shapes
from internal.adapters.http.cursors import write_cursor
from internal.adapters.http.dead_letters import EarlierPayload, PayloadsAnswer, ReplaysAnswer
from internal.adapters.http.examples import story
from internal.adapters.http.examples.declaring import Examples, OneOf
from internal.adapters.http.examples.story import at
from internal.adapters.http.jobs import KEY_HEADER
from internal.adapters.http.logs import LogsAnswer
from internal.domain.attempt_log import LogLine, LogPlace
from internal.domain.jobs import Attempt, Outcome, Priority, Status
from internal.domain.replays import Replay
from internal.domain.stats import Minute
from internal.domain.why import Gate, Why
from internal.services.jobs import JobType

ID: Final = {"id": story.WELCOME_ID}
SUBMISSION: Final = {
    "type": story.TYPE,
    "payload": story.MISTYPED,
    "queue": story.QUEUE,
    "priority": Priority.HIGH,
    "tags": ["welcome"],
}
MOCK: Final = {"type": "mock", "payload": {"sleep_ms": 1200, "fail_times": 1}}

OLDER: Final = write_cursor(story.RENDER_ID)
FILTERS: Final = {
    "status": [Status.FAILED, Status.CANCELED],
    "queue": [story.QUEUE],
    "type": [story.TYPE],
    "priority": [Priority.HIGH, Priority.MEDIUM],
    "tag": ["welcome"],
    "worker": [story.WORKER],
    "batch": [story.BATCH_ID],
    "fingerprint": [story.FINGERPRINT],
    "created_after": at(8),
    "created_before": at(18),
    "finished_after": at(8),
    "finished_before": at(18),
    "limit": 2,
    "cursor": OLDER,
}

FIRST_TRY: Final = Attempt(
    1, Outcome.FAILED, story.WORKER, story.ERROR, None, None, at(9, 0, 0, 130), at(9, 0, 0, 480)
)
SECOND_TRY: Final = Attempt(
    2, Outcome.SUCCEEDED, story.WORKER, None, 1.0, "sent", at(9, 31, 0, 10), at(9, 31, 0, 350)
)
REPLAY: Final = Replay(at(9, 31), Status.FAILED, 1, operation_id=None, parent_id=None, edited=True)
LOG: Final = [
    LogLine(at(9, 31, 0, 20), 2, "looking for the mail server of example.com"),
    LogLine(at(9, 31, 0, 90), 2, "mx.example.com takes the mail"),
]
FURTHER: Final = write_cursor(LogPlace(2, 2))
# Without the references that schemas of structs have: readers of the document would follow them.
EMAIL: Final = JobType(
    story.TYPE,
    "Send a mail.",
    {
        "type": "object",
        "properties": {"to": {"type": "string"}, "template": {"type": "string"}},
        "required": ["to", "template"],
    },
)
STATS: Final = shapes.Stats(
    shapes.Counts(story.ALL_JOBS, sum(story.ALL_JOBS.values()), approximate=False),
    None,
    [Minute(at(9, 58), 4, 1, 9.5, 45.3), Minute(at(9, 59), 0, 0, None, None)],
    at(10, 0, 2, 500),
)
WAITS: Final = Why(Gate.DEPENDENCY, f"it waits for 1 job: {story.RENDER_ID}", None)


def _submitted(*, deduplicated: bool) -> shapes.SubmittedAnswer:
    return shapes.SubmittedAnswer(shapes.submitted_job(story.QUEUED, deduplicated=deduplicated))


EXAMPLES: Final = {
    "submit": Examples(
        parameters={KEY_HEADER: story.KEY},
        body=OneOf({"a job of your own type": SUBMISSION, "a job to try things out": MOCK}),
        answers={201: _submitted(deduplicated=False), 200: _submitted(deduplicated=True)},
    ),
    "list": Examples(
        parameters=FILTERS,
        answers={
            200: shapes.JobsAnswer(
                [story.summary(story.BLOCKED), story.summary(story.RENDERING)], OLDER
            )
        },
    ),
    "get": Examples(
        parameters=ID, answers={200: shapes.JobAnswer(shapes.shown_job(story.SUCCEEDED))}
    ),
    "attempts": Examples(
        parameters={**ID, "limit": 2, "cursor": write_cursor(4)},
        answers={200: shapes.AttemptsAnswer([SECOND_TRY, FIRST_TRY], None)},
    ),
    "why": Examples(parameters={"id": story.SEND_ID}, answers={200: shapes.WhyAnswer(WAITS)}),
    "cancel": Examples(
        parameters={"id": story.SEND_ID},
        answers={
            200: shapes.JobAnswer(shapes.shown_job(story.CANCELED)),
            202: shapes.JobAnswer(shapes.shown_job(story.STOPPING)),
        },
    ),
    "retry": Examples(
        parameters=ID, answers={200: shapes.JobAnswer(shapes.shown_job(story.RETRIED))}
    ),
    "delete": Examples(parameters=ID),
    "jobTypes": Examples(answers={200: shapes.JobTypesAnswer([EMAIL], None)}),
    "stats": Examples(answers={200: shapes.StatsAnswer(STATS)}),
    "logs": Examples(
        parameters={**ID, "attempt": 2, "limit": 2, "cursor": FURTHER},
        answers={200: LogsAnswer(LOG, FURTHER)},
    ),
    "editPayload": Examples(
        parameters=ID,
        body={"payload": story.MENDED},
        answers={200: shapes.JobAnswer(shapes.shown_job(story.EDITED))},
    ),
    "payloads": Examples(
        parameters={**ID, "cursor": write_cursor(1)},
        answers={
            200: PayloadsAnswer([EarlierPayload(1, Raw(story.QUEUED.payload), at(9, 30))], None)
        },
    ),
    "replays": Examples(
        parameters={**ID, "limit": 20, "cursor": write_cursor(7)},
        answers={200: ReplaysAnswer([REPLAY], None)},
    ),
}
