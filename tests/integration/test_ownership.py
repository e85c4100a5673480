"""Nothing of one user is another's, on any route that names a thing."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.api import Api, SignedUp

METHODS = ("get", "post", "put", "patch", "delete")


async def operations_on_one_thing(api: Api) -> list[tuple[str, str]]:
    """Every route with a path parameter, from the OpenAPI document."""
    document: dict[str, Any] = (await api.client().get("/openapi.json")).json()
    return [
        (method, path)
        for path, item in document["paths"].items()
        for method in METHODS
        if "{" in path and method in item
    ]


async def try_each(api: Api, user: SignedUp, job_id: str) -> dict[str, httpx.Response]:
    return {
        f"{method} {path}": await user.client.request(method, path.replace("{id}", job_id))
        for method, path in await operations_on_one_thing(api)
    }


async def test_another_users_job_is_not_found_on_any_route(api: Api) -> None:
    """Enumerated, so that a new route cannot be forgotten."""
    owner, stranger = await api.a_user(), await api.a_user()
    waiting = (await owner.client.post("/v1/jobs", json={"type": "mock"})).json()["data"]
    finished = (await owner.client.post("/v1/jobs", json={"type": "mock"})).json()["data"]
    await owner.client.post(f"/v1/jobs/{finished['id']}/cancel")
    for job in (waiting, finished):
        before = (await owner.client.get(f"/v1/jobs/{job['id']}")).json()
        answers = await try_each(api, stranger, job["id"])
        assert len(answers) >= 5
        for route, answer in answers.items():
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND"), route
        assert (await owner.client.get(f"/v1/jobs/{job['id']}")).json() == before


async def test_another_users_job_looks_like_none_at_all(api: Api) -> None:
    owner, stranger = await api.a_user(), await api.a_user()
    theirs = (await owner.client.post("/v1/jobs", json={"type": "mock"})).json()["data"]["id"]
    nobodys = "01a20553-0612-773b-8e86-40ec3bb0c2ae"
    for one, other in zip(
        (await try_each(api, stranger, theirs)).values(),
        (await try_each(api, stranger, nobodys)).values(),
        strict=True,
    ):
        shown = [each.json()["error"] | {"request_id": ""} for each in (one, other)]
        assert shown[0] == shown[1]


async def test_lists_and_numbers_are_ones_own(api: Api) -> None:
    owner, stranger = await api.a_user(), await api.a_user()
    await owner.client.post("/v1/jobs", json={"type": "mock", "queue": "mine", "tags": ["mine"]})
    for query in ("", "?queue=mine", "?tag=mine", "?status=queued"):
        assert (await stranger.client.get(f"/v1/jobs{query}")).json()["data"] == []
    assert (await stranger.client.get("/v1/stats")).json()["data"]["counts"]["total"] == 0
    assert (await owner.client.get("/v1/stats")).json()["data"]["counts"]["total"] == 1
