"""Examples of many jobs: batches, workflows, failures in groups and bulk operations."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from internal.adapters.http import job_shapes as shapes
from internal.adapters.http.batches import BatchesAnswer, BatchProgressAnswer
from internal.adapters.http.bulk import Begun, BegunAnswer, OperationAnswer, OperationsAnswer
from internal.adapters.http.cursors import write_cursor
from internal.adapters.http.dead_letters import FailuresAnswer
from internal.adapters.http.examples import story
from internal.adapters.http.examples.declaring import Examples, OneOf
from internal.adapters.http.examples.story import at
from internal.adapters.http.workflows import WorkflowAnswer
from internal.domain.batches import BatchProgress, BatchSummary
from internal.domain.failures import FailureGroup, GroupMark
from internal.domain.jobs import Status
from internal.domain.operations import Action, Operation, OperationStatus
from internal.services.workflows import Workflow

RENDER: Final = {
    "type": story.RENDERING.type,
    "payload": story.ISSUE,
    "queue": story.QUEUE,
    "name": "render",
}
SEND: Final = {
    "type": story.TYPE,
    "payload": story.NEWSLETTER,
    "queue": story.QUEUE,
    "depends_on": ["@render"],
}
TAKEN: Final = shapes.Batch(
    story.BATCH_ID,
    [
        shapes.BatchedJob(story.RENDER_ID, Status.QUEUED, deduplicated=False),
        shapes.BatchedJob(story.SEND_ID, Status.BLOCKED, deduplicated=False),
    ],
)
PROGRESS: Final = BatchProgress(story.BATCH_ID, 2, 0, story.UNDERWAY, at(10, 0, 0, 40), None)
SHOWN: Final = BatchSummary(story.BATCH_ID, 2, at(10, 0, 0, 40), None)
WORKFLOW: Final = Workflow(
    [story.summary(story.BLOCKED), story.summary(story.RENDERING)],
    [(story.RENDER_ID, story.SEND_ID)],
    truncated=False,
)

GROUP: Final = FailureGroup(
    story.FINGERPRINT, story.TYPE, story.FAILURE.message, 14, at(9, 10), at(9, 58, 30)
)

SMALLER: Final = write_cursor(GroupMark(GROUP.count, story.FAILURE.fingerprint))

RETRY_ALL: Final = {
    "action": Action.RETRY,
    "filter": {"fingerprint": [story.FINGERPRINT]},
    "per_second": 5,
}
COUNT_OLD: Final = {
    "action": Action.DELETE,
    "filter": {"type": [story.TYPE], "created_before": at(8)},
    "dry_run": True,
}
RUNNING: Final = Operation(
    story.OPERATION_ID, Action.RETRY, OperationStatus.RUNNING, 14, 14, 10, {}, 5, at(11), None
)
STOPPED: Final = replace(RUNNING, status=OperationStatus.STOPPED, finished_at=at(11, 0, 2))
ID: Final = {"id": story.OPERATION_ID}

EXAMPLES: Final = {
    "submitBatch": Examples(
        body={"jobs": [RENDER, SEND]}, answers={201: shapes.BatchAnswer(TAKEN)}
    ),
    "batch": Examples(
        parameters={"id": story.BATCH_ID}, answers={200: BatchProgressAnswer(PROGRESS)}
    ),
    "batches": Examples(
        parameters={"limit": 1, "cursor": write_cursor(story.BATCH_ID)},
        answers={200: BatchesAnswer([SHOWN], write_cursor(story.BATCH_ID))},
    ),
    "workflow": Examples(parameters={"id": story.SEND_ID}, answers={200: WorkflowAnswer(WORKFLOW)}),
    "failures": Examples(
        parameters={"limit": 1, "cursor": SMALLER},
        answers={200: FailuresAnswer([GROUP], SMALLER)},
    ),
    "bulk": Examples(
        body=OneOf({"retry a group of failures": RETRY_ALL, "only count": COUNT_OLD}),
        answers={
            202: OneOf(
                {
                    "retry a group of failures": BegunAnswer(Begun(14, 14, {}, story.OPERATION_ID)),
                    "only count": BegunAnswer(Begun(95, 94, {"scheduled": 1}, None)),
                }
            )
        },
    ),
    "operation": Examples(parameters=ID, answers={200: OperationAnswer(RUNNING)}),
    "operations": Examples(
        parameters={"limit": 1, "cursor": write_cursor(story.OPERATION_ID)},
        answers={200: OperationsAnswer([RUNNING], write_cursor(story.OPERATION_ID))},
    ),
    "stopOperation": Examples(parameters=ID, answers={200: OperationAnswer(STOPPED)}),
}
