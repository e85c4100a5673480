"""Examples of schedules."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from internal.adapters.http.cursors import write_cursor
from internal.adapters.http.examples import story
from internal.adapters.http.examples.declaring import Examples
from internal.adapters.http.examples.story import at
from internal.adapters.http.job_shapes import JobAnswer, shown_job
from internal.adapters.http.schedule_shapes import (
    PreviewAnswer,
    Schedule,
    ScheduleAnswer,
    SchedulesAnswer,
)
from internal.domain.schedules import Overlap
from internal.domain.slots import Missed

ID: Final = {"id": story.SCHEDULE_ID}
DAILY: Final = {
    "name": "morning digest",
    "cron": "0 7 * * *",
    "timezone": "Europe/Berlin",
    "missed": Missed.ONCE,
    "job": story.DIGEST,
}
HOURLY: Final = {
    "name": "hourly digest",
    "every_ms": 3_600_000,
    "missed": Missed.SKIP,
    "overlap": Overlap.SKIP,
    "job": story.DIGEST,
}
# Seven o'clock in Berlin, in winter.
NEXT: Final = at(6) + timedelta(days=1)
MADE: Final = Schedule(
    id=story.SCHEDULE_ID,
    name="morning digest",
    cron="0 7 * * *",
    every_ms=None,
    timezone="Europe/Berlin",
    missed=Missed.ONCE,
    overlap=Overlap.QUEUE,
    paused=False,
    job=Raw(msgspec.json.encode(story.DIGEST)),
    next_run_at=NEXT,
    last_run_at=None,
    last_job_id=None,
    last_error=None,
    created_at=at(8, 30),
    updated_at=at(8, 30),
)
RAN: Final = replace(MADE, last_run_at=at(12), last_job_id=story.DIGEST_ID)
PAUSED: Final = replace(RAN, paused=True, next_run_at=None, updated_at=at(13))
RESUMED: Final = replace(RAN, updated_at=at(14))
REPLACED: Final = replace(
    RAN,
    name="hourly digest",
    cron=None,
    every_ms=3_600_000,
    timezone="UTC",
    missed=Missed.SKIP,
    overlap=Overlap.SKIP,
    next_run_at=at(16),
    updated_at=at(15),
)
COMING: Final = [NEXT + timedelta(days=days) for days in range(3)]

EXAMPLES: Final = {
    "createSchedule": Examples(body=DAILY, answers={201: ScheduleAnswer(MADE)}),
    "listSchedules": Examples(
        parameters={"limit": 1, "cursor": write_cursor(story.SCHEDULE_ID)},
        answers={200: SchedulesAnswer([RAN], write_cursor(story.SCHEDULE_ID))},
    ),
    "getSchedule": Examples(parameters=ID, answers={200: ScheduleAnswer(RAN)}),
    "previewSchedule": Examples(
        parameters={**ID, "n": len(COMING)}, answers={200: PreviewAnswer(COMING)}
    ),
    "replaceSchedule": Examples(
        parameters=ID, body=HOURLY, answers={200: ScheduleAnswer(REPLACED)}
    ),
    "runSchedule": Examples(parameters=ID, answers={201: JobAnswer(shown_job(story.OF_DIGEST))}),
    "pauseSchedule": Examples(parameters=ID, answers={200: ScheduleAnswer(PAUSED)}),
    "resumeSchedule": Examples(parameters=ID, answers={200: ScheduleAnswer(RESUMED)}),
    "deleteSchedule": Examples(parameters=ID),
}
