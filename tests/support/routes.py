"""Short ways to jobs in common situations, through the API."""

from __future__ import annotations

from typing import Any

import httpx

from internal.domain.jobs import Outcome
from internal.domain.ports.work import ClaimedJob
from tests.support.api import Api, SignedUp
from tests.support.conditions import eventually
from tests.support.store import an_end

JSON = {"Content-Type": "application/json"}
JOB_FIELDS = [
    "id", "type", "queue", "priority", "status", "attempts", "max_attempts", "run_at", "backoff",
    "timeout_ms", "idempotency_key", "tags", "payload", "result", "last_error", "progress",
    "progress_note",
    "cancel_requested_at", "version", "created_at", "updated_at", "started_at", "finished_at",
    "concurrency_key", "rate_key", "expires_at", "name", "depends_on", "on_dependency_failure",
]  # fmt: skip
LEFT_OUT = {"payload", "result", "backoff", "last_error", "depends_on"}
PREVIEWS = {"payload_preview", "error_preview"}


async def submit(user: SignedUp, **fields: Any) -> dict[str, Any]:
    answer = await user.client.post("/v1/jobs", json={"type": "mock", **fields})
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()["data"]
    return job


async def data_of(user: SignedUp, path: str, **query: Any) -> Any:
    answer = await user.client.get(f"/v1/jobs/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def attempts_of(user: SignedUp, job_id: str) -> list[dict[str, Any]]:
    """The oldest first."""
    return list(reversed(await data_of(user, f"{job_id}/attempts")))


async def becomes(user: SignedUp, job: dict[str, Any], *statuses: str) -> dict[str, Any]:
    async def reached() -> bool:
        return (await data_of(user, job["id"]))["status"] in statuses

    await eventually(reached)
    now: dict[str, Any] = await data_of(user, job["id"])
    return now


async def start(api: Api, user: SignedUp, **fields: Any) -> ClaimedJob:
    """A job that a worker runs."""
    return await claim(api, (await submit(user, **fields))["id"])


async def claim(api: Api, job_id: str) -> ClaimedJob:
    """Claim until it is this one's turn: other tests of the module leave jobs behind."""
    worker = await api.store.a_worker()
    while claimed := await api.store.work.claim(worker, ("default",), 1000):
        for each in claimed:
            if str(each.id) == job_id:
                return each
    raise AssertionError("the job is not in line")


async def finish(api: Api, user: SignedUp, outcome: Outcome, result: str | None = None) -> str:
    """The id of a job that ended in this way."""
    claimed = await start(api, user, max_attempts=1)
    await api.store.work.finish([an_end(claimed, outcome, result=result)])
    return str(claimed.id)


def error_of(answer: httpx.Response) -> tuple[int, str, list[dict[str, Any]]]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["details"]
