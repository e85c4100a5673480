"""Examples of queues."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from internal.adapters.http.cursors import write_cursor
from internal.adapters.http.examples import story
from internal.adapters.http.examples.declaring import Examples
from internal.adapters.http.queues import QueueAnswer, QueuesAnswer
from internal.domain.queues import Queue, RateLimit

NAME: Final = {"name": story.QUEUE}
SETTINGS: Final = {
    "max_running": 5,
    "rate_limit": {"limit": 100, "per_ms": 60_000, "burst": 10},
}
EMAIL: Final = Queue(
    name=story.QUEUE,
    paused=False,
    max_running=5,
    rate_limit=RateLimit(100, 60_000, 10),
    max_running_per_key=1,
    rate_limit_per_key=None,
    counts=story.ALL_JOBS,
    oldest_queued_at=None,
    drain_seconds=0.0,
)
ANSWER: Final = QueueAnswer(EMAIL)

EXAMPLES: Final = {
    "queues": Examples(
        parameters={"limit": 1, "cursor": write_cursor(story.QUEUE)},
        answers={200: QueuesAnswer([EMAIL], write_cursor(story.QUEUE))},
    ),
    "queue": Examples(parameters=NAME, answers={200: ANSWER}),
    "setQueue": Examples(parameters=NAME, body=SETTINGS, answers={200: ANSWER}),
    "deleteQueue": Examples(parameters=NAME),
    "pauseQueue": Examples(
        parameters=NAME,
        answers={200: QueueAnswer(replace(EMAIL, paused=True, drain_seconds=None))},
    ),
    "resumeQueue": Examples(parameters=NAME, answers={200: ANSWER}),
}
