"""Jobs that wait for other jobs, through the API and real workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from internal.domain.declaring import handler
from internal.domain.handlers import JobContext
from internal.domain.outcomes import Fail
from tests.support.api import Api, SignedUp
from tests.support.conditions import eventually
from tests.support.workers import running_worker

Payload = dict[str, Any]
NOWHERE = "01900000-0000-7000-8000-000000000000"


@handler("noop")
async def noop(job: Payload, ctx: JobContext) -> Any:
    """Returns what it is told to."""
    return job.get("result")


@handler("fail")
async def fail(job: Payload, ctx: JobContext) -> None:
    raise Fail("no such customer")


@handler("family")
async def family(job: Payload, ctx: JobContext) -> Any:
    """What it learns of its parents."""
    return {name: [each.type, each.status, each.result] for name, each in ctx.parents.items()}


@asynccontextmanager
async def a_worker(api: Api) -> AsyncIterator[None]:
    async with running_worker(api.store, [noop, fail, family]):
        yield


@pytest.fixture
async def ada(api: Api) -> SignedUp:
    return await api.a_user()


async def submit(user: SignedUp, type_: str = "noop", **fields: Any) -> dict[str, Any]:
    answer = await user.client.post("/v1/jobs", json={"type": type_, **fields})
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def submit_batch(user: SignedUp, *jobs: dict[str, Any]) -> list[str]:
    body = {"jobs": [{"type": "noop", **job} for job in jobs]}
    answer = await user.client.post("/v1/jobs/batch", json=body)
    assert answer.status_code == 201, answer.text
    return [each["id"] for each in answer.json()["data"]["jobs"]]


async def refusal(user: SignedUp, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await user.client.post(path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    (detail,) = answer.json()["error"]["details"]
    return dict(detail)


async def look(user: SignedUp, job_id: str) -> dict[str, Any]:
    data: dict[str, Any] = (await user.client.get(f"/v1/jobs/{job_id}")).json()["data"]
    return data


async def become(user: SignedUp, status: str, *ids: str) -> list[dict[str, Any]]:
    async def reached() -> bool:
        return {(await look(user, each))["status"] for each in ids} == {status}

    await eventually(reached)
    return [await look(user, each) for each in ids]


async def do(user: SignedUp, deed: str, job_id: str) -> dict[str, Any]:
    answer = await user.client.post(f"/v1/jobs/{job_id}/{deed}")
    assert answer.is_success, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_a_job_waits_for_another_and_learns_its_result(api: Api, ada: SignedUp) -> None:
    parent = await submit(ada, payload={"result": {"total": 7}})
    child = await submit(ada, "family", depends_on=[parent["id"], parent["id"]])
    assert (child["status"], child["depends_on"]) == ("blocked", [parent["id"]])
    assert child["on_dependency_failure"] == "cancel"
    why = (await ada.client.get(f"/v1/jobs/{child['id']}/why")).json()["data"]
    assert (why["gate"], why["detail"]) == ("dependency", f"it waits for 1 job: {parent['id']}")
    assert await look(ada, child["id"]) == {k: child[k] for k in child if k != "deduplicated"}

    async with a_worker(api):
        (done,) = await become(ada, "succeeded", child["id"])
    assert done["result"] == {parent["id"]: ["noop", "succeeded", {"total": 7}]}


async def test_jobs_of_a_batch_name_each_other(api: Api, ada: SignedUp) -> None:
    before = await submit(ada, payload={"result": 1})
    ids = await submit_batch(
        ada,
        {"type": "family", "name": "last", "depends_on": ["@left", "@right", before["id"]]},
        {"name": "left", "payload": {"result": 2}, "depends_on": ["@first"]},
        {"name": "right", "payload": {"result": 3}, "depends_on": ["@first"]},
        {"name": "first"},
    )
    assert [(await look(ada, each))["status"] for each in ids] == ["blocked"] * 3 + ["queued"]
    async with a_worker(api):
        done = (await become(ada, "succeeded", *ids))[0]
    assert done["name"] == "last"
    assert done["result"] == {
        "left": ["noop", "succeeded", 2],
        "right": ["noop", "succeeded", 3],
        before["id"]: ["noop", "succeeded", 1],
    }


async def test_when_one_fails_all_below_it_is_canceled_or_runs_anyway(
    api: Api, ada: SignedUp
) -> None:
    bad, child, grandchild, anyway, after = await submit_batch(
        ada,
        {"name": "bad", "type": "fail"},
        {"name": "child", "depends_on": ["@bad"]},
        {"depends_on": ["@child"]},
        {
            "name": "anyway",
            "type": "family",
            "depends_on": ["@bad"],
            "on_dependency_failure": "run",
        },
        {"depends_on": ["@anyway"]},
    )
    async with a_worker(api):
        canceled = await become(ada, "canceled", child, grandchild)
        ran, _ = await become(ada, "succeeded", anyway, after)
    assert [each["last_error"] for each in canceled] == [
        f"dependency {bad} failed",
        f"dependency {child} was canceled",
    ]
    assert ran["on_dependency_failure"] == "run"
    assert ran["result"] == {"bad": ["fail", "failed", None]}


async def test_what_has_ended_before_counts_too(api: Api, ada: SignedUp) -> None:
    async with a_worker(api):
        good, bad = await submit(ada), await submit(ada, "fail")
        await become(ada, "succeeded", good["id"])
        await become(ada, "failed", bad["id"])

        fine = await submit(ada, depends_on=[good["id"]])
        doomed = await submit(ada, depends_on=[good["id"], bad["id"]])
        await become(ada, "succeeded", fine["id"])
        (canceled,) = await become(ada, "canceled", doomed["id"])
    assert canceled["last_error"] == f"dependency {bad['id']} failed"


async def test_a_later_run_at_still_holds_when_the_others_have_ended(
    api: Api, ada: SignedUp
) -> None:
    parent = await submit(ada)
    child = await submit(ada, depends_on=[parent["id"]], run_at="2100-01-01T00:00:00Z")
    async with a_worker(api):
        (waiting,) = await become(ada, "scheduled", child["id"])
    assert waiting["run_at"] == "2100-01-01T00:00:00Z"


async def test_a_retried_parent_revives_what_it_canceled(api: Api, ada: SignedUp) -> None:
    parent, other, child, grandchild, by_hand, done_for = await submit_batch(
        ada,
        {"name": "parent", "run_at": "2100-01-01T00:00:00Z"},
        {"name": "other", "run_at": "2100-01-01T00:00:00Z"},
        {"name": "child", "depends_on": ["@parent"]},
        {"depends_on": ["@child"]},
        {"depends_on": ["@parent"]},
        {"depends_on": ["@parent", "@other"]},
    )
    async with a_worker(api):
        await do(ada, "cancel", by_hand)
        await do(ada, "cancel", parent)
        await do(ada, "cancel", other)
        await become(ada, "canceled", child, grandchild, by_hand, done_for)
        await do(ada, "retry", parent)
        await become(ada, "succeeded", parent, child, grandchild)
    assert (await look(ada, by_hand))["status"] == "canceled"
    assert (await look(ada, done_for))["status"] == "canceled"
    origins = {each: await replays(ada, each) for each in (parent, child, grandchild, done_for)}
    assert origins == {
        parent: [("canceled", 0, None)],
        child: [("canceled", 0, parent)],
        grandchild: [("canceled", 0, child)],
        done_for: [],
    }


async def replays(user: SignedUp, job_id: str) -> list[tuple[str, int, str | None]]:
    """From which status, after which attempt, and with which parent."""
    found = (await user.client.get(f"/v1/jobs/{job_id}/replays")).json()["data"]
    return [(each["from_status"], each["after_attempt"], each["parent_id"]) for each in found[::-1]]


async def test_a_job_retried_by_hand_waits_again_unless_what_it_waits_for_has_ended(
    api: Api, ada: SignedUp
) -> None:
    parent = await submit(ada, run_at="2100-01-01T00:00:00Z")
    child = await submit(ada, depends_on=[parent["id"]])
    await do(ada, "cancel", child["id"])
    assert (await do(ada, "retry", child["id"]))["status"] == "blocked"

    async with a_worker(api):
        await do(ada, "cancel", parent["id"])
        await become(ada, "canceled", child["id"])
        assert (await do(ada, "retry", child["id"]))["status"] in {"queued", "running", "succeeded"}
        await become(ada, "succeeded", child["id"])


async def test_a_job_that_others_need_is_not_deleted(api: Api, ada: SignedUp) -> None:
    parent, child = await submit_batch(
        ada,
        {"name": "parent"},
        {"depends_on": ["@parent"], "run_at": "2100-01-01T00:00:00Z"},
    )
    async with a_worker(api):
        await become(ada, "succeeded", parent)
        await become(ada, "scheduled", child)
    answer = await ada.client.delete(f"/v1/jobs/{parent}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INVALID_STATE")
    await do(ada, "cancel", child)
    assert (await ada.client.delete(f"/v1/jobs/{parent}")).status_code == 204
    assert (await look(ada, child))["depends_on"] == []


async def test_a_key_that_exists_stands_for_its_job_in_a_batch(api: Api, ada: SignedUp) -> None:
    there = await submit(ada, idempotency_key="one")
    first, second = await submit_batch(
        ada,
        {"name": "one", "idempotency_key": "one2"},
        {"depends_on": ["@one"]},
    )
    request: list[Payload] = [
        {"name": "one", "idempotency_key": "one2"},
        {"name": "two", "idempotency_key": "two", "depends_on": ["@one", there["id"]]},
        {"depends_on": ["@two", "@one"]},
    ]
    again, two, three = await submit_batch(ada, *request)
    assert again == first
    assert (await look(ada, three))["depends_on"] == sorted([first, two])
    assert (await submit_batch(ada, *request))[:2] == [first, two]
    async with a_worker(api):
        await become(ada, "succeeded", there["id"], first, second, two, three)


@pytest.mark.parametrize(
    ("jobs", "field", "index", "words"),
    [
        ([{"depends_on": ["@nobody"]}], "depends_on", 0, "named @nobody"),
        ([{"name": "a"}, {"name": "a"}], "name", 1, "another job"),
        ([{"depends_on": ["nonsense"]}], "depends_on", 0, "no id and no @name"),
        ([{"name": "@a"}], "name", 0, "regex"),
        ([{}, {"depends_on": [NOWHERE]}], "depends_on", 1, "there is no job"),
        ([{"name": "me", "depends_on": ["@me"]}], "depends_on", 0, "@me -> @me"),
        (
            [
                {"name": "a", "depends_on": ["@b"]},
                {"name": "b", "depends_on": ["@c"]},
                {"name": "c", "depends_on": ["@b"]},
            ],
            "depends_on",
            1,
            "@b -> @c -> @b",
        ),
    ],
)
async def test_a_batch_that_cannot_be_is_refused(
    ada: SignedUp, jobs: Sequence[Payload], field: str, index: int | None, words: str
) -> None:
    body = {"jobs": [{"type": "noop", **job} for job in jobs]}
    detail = await refusal(ada, "/v1/jobs/batch", body)
    assert (detail["field"], detail.get("index")) == (field, index), detail
    assert words in detail["message"]
    assert (await ada.client.get("/v1/jobs")).json()["data"] == []


async def test_another_users_job_cannot_be_waited_for(api: Api, ada: SignedUp) -> None:
    eve = await api.a_user()
    job = await submit(ada)
    refused = [
        await refusal(eve, "/v1/jobs", {"type": "noop", "depends_on": [each]})
        for each in (job["id"], NOWHERE)
    ]
    assert refused[0]["message"] == refused[1]["message"].replace(NOWHERE, job["id"])
    assert refused[0]["field"] == "depends_on"
    for body in ({"name": "a"}, {"depends_on": ["@a"]}):
        assert "batch" in (await refusal(eve, "/v1/jobs", {"type": "noop", **body}))["message"]


async def test_a_workflow_is_all_that_is_connected(api: Api, ada: SignedUp) -> None:
    first, middle, last, aside = await submit_batch(
        ada,
        {"name": "first"},
        {"name": "middle", "depends_on": ["@first"]},
        {"depends_on": ["@middle", "@aside"]},
        {"name": "aside"},
    )
    await submit(ada)
    answer = (await ada.client.get(f"/v1/workflows/{first}")).json()["data"]
    assert [each["id"] for each in answer["jobs"]] == [first, middle, last, aside]
    assert answer["edges"] == sorted([[first, middle], [middle, last], [aside, last]])
    assert not answer["truncated"]


async def test_a_large_workflow_is_cut(ada: SignedUp) -> None:
    jobs: list[Payload] = [{"name": "root"}]
    jobs += [{"depends_on": ["@root"]} for _ in range(1_500)]
    root = (await submit_batch(ada, *jobs))[0]
    answer = (await ada.client.get(f"/v1/workflows/{root}")).json()["data"]
    assert (len(answer["jobs"]), len(answer["edges"])) == (1_000, 999)
    assert answer["truncated"]


async def test_a_thousand_children_are_released_together(api: Api, ada: SignedUp) -> None:
    jobs: list[Payload] = [{"name": "root"}]
    jobs += [{"depends_on": ["@root"], "type": "nobody's"} for _ in range(1_000)]
    await submit_batch(ada, *jobs)

    async def released() -> bool:
        stats = (await ada.client.get("/v1/stats")).json()["data"]
        return bool(stats["counts"]["by_status"]["queued"] == 1_000)

    async with a_worker(api):
        await eventually(released)


async def test_those_retried_together_keep_their_order(api: Api, ada: SignedUp) -> None:
    parent, child = await submit_batch(
        ada, {"name": "parent", "type": "nobody's"}, {"depends_on": ["@parent"]}
    )
    async with a_worker(api):
        await do(ada, "cancel", parent)
        await become(ada, "canceled", child)
        await bulk(ada, "retry", parent, child)
        await become(ada, "queued", parent)
        await become(ada, "blocked", child)
        await do(ada, "cancel", parent)
        await become(ada, "canceled", child)


async def test_what_is_needed_is_skipped_when_many_are_deleted(api: Api, ada: SignedUp) -> None:
    parent, _ = await submit_batch(
        ada, {"name": "parent"}, {"depends_on": ["@parent"], "run_at": "2100-01-01T00:00:00Z"}
    )
    async with a_worker(api):
        await become(ada, "succeeded", parent)
        operation = await bulk(ada, "delete", parent)

        async def is_done() -> bool:
            answer = await ada.client.get(f"/v1/operations/{operation}")
            return bool(answer.json()["data"]["skipped"] == {"needed": 1})

        await eventually(is_done)
    assert (await look(ada, parent))["status"] == "succeeded"


async def bulk(user: SignedUp, action: str, *ids: str) -> str:
    answer = await user.client.post("/v1/jobs/bulk", json={"action": action, "ids": ids})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["data"]["operation_id"])
