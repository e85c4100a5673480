"""Failed jobs in groups, through the API and a real worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from internal.domain.declaring import handler
from internal.domain.failures import failure_of
from internal.domain.handlers import JobContext
from internal.domain.jobs import Outcome, Status
from internal.domain.outcomes import Fail
from tests.support.api import Api, SignedUp
from tests.support.conditions import eventually
from tests.support.routes import error_of
from tests.support.store import Store, an_end
from tests.support.workers import running_worker


@handler("mail")
async def mail(job: dict[str, Any], ctx: JobContext) -> None:
    raise Fail(job["error"])


async def test_failed_jobs_are_grouped_by_type_and_normalised_error(api: Api) -> None:
    ada = await api.a_user()
    errors = ["no user 1", "no user 2\nand a trace", "the server answered 503", "no user 3"]
    jobs = await failed(api, ada, *errors)

    first, second = (await ada.client.get("/v1/failures")).json()["data"]
    assert (first["type"], first["message"], first["count"]) == ("mail", "no user <number>", 3)
    assert (second["message"], second["count"]) == ("the server answered 503", 1)
    assert first["first_seen"] <= first["last_seen"]
    shown = await ada.client.get("/v1/jobs", params={"fingerprint": first["fingerprint"]})
    assert {job["id"] for job in shown.json()["data"]} == {jobs[0], jobs[1], jobs[3]}
    both = f"{first['fingerprint']},{second['fingerprint']}"
    shown = await ada.client.get("/v1/jobs", params={"fingerprint": both, "status": "failed"})
    assert {job["id"] for job in shown.json()["data"]} == set(jobs)
    query = {"fingerprint": both, "status": "queued,running"}
    assert (await ada.client.get("/v1/jobs", params=query)).json()["data"] == []


async def test_a_group_counts_the_jobs_that_still_stand_as_failed(api: Api) -> None:
    ada = await api.a_user()
    jobs = await failed(api, ada, "no user 1", "no user 2")
    await ada.client.post(f"/v1/jobs/{jobs[0]}/retry")
    (group,) = (await ada.client.get("/v1/failures")).json()["data"]
    assert group["count"] == 1
    await ada.client.delete(f"/v1/jobs/{jobs[1]}")
    assert (await ada.client.get("/v1/failures")).json() == {"data": [], "next_cursor": None}


async def test_pages_of_groups_follow_each_other(api: Api) -> None:
    ada = await api.a_user()
    await failed(api, ada, *(f"error {chr(97 + n)}" for n in range(5)), "error c")
    seen: list[dict[str, Any]] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        page = (await ada.client.get("/v1/failures", params=query)).json()
        seen += page["data"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [group["count"] for group in seen] == [2, 1, 1, 1, 1]
    assert len({group["fingerprint"] for group in seen}) == 5
    # The second one says that a page ends behind more jobs than there can be.
    for cursor in ("nonsense", "WzkyMjMzNzIwMzY4NTQ3NzU4MDgsMF0"):
        answer = await ada.client.get("/v1/failures", params={"cursor": cursor})
        assert error_of(answer)[2][0]["field"] == "cursor"


async def test_lost_jobs_are_one_group_whichever_worker_they_were_lost_with(api: Api) -> None:
    ada = await api.a_user()
    for _ in range(2):
        await ada.client.post("/v1/jobs", json={"type": "mock", "max_attempts": 1})
        worker = await api.store.a_worker()
        claimed = await api.store.work.claim(worker, ["default"], 10)
        await api.store.end_processes([worker], [job.id for job in claimed])
        await api.store.upkeep.rescue_expired(10)
    (group,) = (await ada.client.get("/v1/failures")).json()["data"]
    assert group["count"] == 2
    assert group["message"].startswith("lost: the worker w-<number> stopped")


async def test_a_cancel_that_comes_last_leaves_no_failure(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor, max_attempts=1)
    end = an_end(await store.claim_one(worker), Outcome.FAILED)
    await store.commands.cancel(actor, submitted.id)
    await store.work.finish([end])
    assert (await store.job(actor, submitted.id)).status is Status.CANCELED
    assert await store.failures.page(actor, 10, None) == []


async def test_what_failed_before_there_were_groups_is_a_group(api: Api) -> None:
    ada = await api.a_user()
    (job,) = await failed(api, ada, "no user 1")
    forget = "update finished set fingerprint = null where job_id = $1"
    await api.store.execute(forget, job)
    (group,) = (await ada.client.get("/v1/failures")).json()["data"]
    assert (group["fingerprint"], group["type"], group["count"]) == ("0" * 16, None, 1)
    shown = await ada.client.get("/v1/jobs", params={"fingerprint": "0" * 16})
    assert [each["id"] for each in shown.json()["data"]] == [job]


async def test_the_text_of_a_group_goes_when_its_jobs_are_over(store: Store) -> None:
    """Failed jobs are kept for 30 days, and until their whole day is over."""
    actor, worker = await store.a_user(), await store.a_worker()
    submitted = await store.submit(actor, max_attempts=1)
    await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])
    await age_texts(store, 33)
    await store.sweep()
    assert [each.message for each in await store.failures.page(actor, 10, None)] == ["it failed"]

    await store.commands.delete(actor, submitted.id)
    await age_texts(store, 31)
    await store.sweep()
    assert await texts(store) == 1
    await age_texts(store, 33)
    await store.sweep()
    assert await texts(store) == 0


async def test_a_failure_that_comes_again_renews_its_text(store: Store) -> None:
    actor, worker = await store.a_user(), await store.a_worker()
    for _ in range(2):
        await store.submit(actor, max_attempts=1)
        await store.work.finish([an_end(await store.claim_one(worker), Outcome.FAILED)])
        await store.execute("update failure set noted_at = noted_at - interval '2 hours'")
    (group,) = await store.failures.page(actor, 10, None)
    assert (group.count, group.message) == (2, failure_of(actor.user_id, "", "it failed").message)
    async with store.database.hot() as connection:
        age = await connection.fetchval("select now() - noted_at from failure")
    assert timedelta(hours=2) <= age < timedelta(hours=3)


async def age_texts(store: Store, days: int) -> None:
    await store.execute("update failure set noted_at = now() - $1 * interval '1 day'", days)


async def texts(store: Store) -> int:
    async with store.database.hot() as connection:
        return int(await connection.fetchval("select count(*) from failure"))


async def failed(api: Api, user: SignedUp, *errors: str) -> list[str]:
    """Jobs that a worker has run and that failed with these errors."""
    jobs = [{"type": "mail", "payload": {"error": error}} for error in errors]
    batch = (await user.client.post("/v1/jobs/batch", json={"jobs": jobs})).json()["data"]
    async with running_worker(api.store, [mail]):

        async def all_failed() -> bool:
            counts = (await user.client.get("/v1/stats")).json()["data"]["counts"]["by_status"]
            return bool(counts["failed"] == len(errors))

        await eventually(all_failed)
    return [job["id"] for job in batch["jobs"]]
