"""The OpenAPI document says what the API does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.openapi import operations, read_document


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    return await read_document(api)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


async def test_it_is_openapi_3_1_and_every_reference_leads_somewhere(
    document: dict[str, Any],
) -> None:
    assert document["openapi"].startswith("3.1")
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


async def test_every_route_of_the_contract_is_described(document: dict[str, Any]) -> None:
    described = {f"{method.upper()} {path}" for method, path, _ in operations(document)}
    assert described == {
        "POST /v1/signup",
        "POST /v1/login",
        "POST /v1/token/refresh",
        "POST /v1/logout",
        "GET /v1/me",
        "POST /v1/jobs",
        "POST /v1/jobs/batch",
        "GET /v1/jobs",
        "GET /v1/workflows/{id}",
        "GET /v1/jobs/{id}",
        "GET /v1/jobs/{id}/attempts",
        "GET /v1/jobs/{id}/why",
        "GET /v1/jobs/{id}/logs",
        "POST /v1/jobs/{id}/cancel",
        "POST /v1/jobs/{id}/retry",
        "DELETE /v1/jobs/{id}",
        "GET /v1/batches",
        "GET /v1/batches/{id}",
        "POST /v1/jobs/bulk",
        "GET /v1/operations",
        "GET /v1/operations/{id}",
        "POST /v1/operations/{id}/stop",
        "PUT /v1/jobs/{id}/payload",
        "GET /v1/jobs/{id}/payloads",
        "GET /v1/jobs/{id}/replays",
        "GET /v1/failures",
        "GET /v1/job-types",
        "GET /v1/stats",
        "GET /v1/queues",
        "GET /v1/queues/{name}",
        "PUT /v1/queues/{name}",
        "DELETE /v1/queues/{name}",
        "POST /v1/queues/{name}/pause",
        "POST /v1/queues/{name}/resume",
        "POST /v1/schedules",
        "GET /v1/schedules",
        "GET /v1/schedules/{id}",
        "PUT /v1/schedules/{id}",
        "DELETE /v1/schedules/{id}",
        "POST /v1/schedules/{id}/run",
        "POST /v1/schedules/{id}/pause",
        "POST /v1/schedules/{id}/resume",
        "GET /v1/schedules/{id}/preview",
        "POST /v1/ws/ticket",
        "GET /v1/admin/invariants",
        "GET /health",
        "GET /ready",
        "GET /metrics",
    }


async def test_every_operation_has_a_name_a_summary_a_description_and_its_errors(
    document: dict[str, Any],
) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for _, path, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"], path
        refused = [code for code in operation["responses"] if code >= "400"]
        assert "400" in refused, path
        for code in refused:
            content = operation["responses"][code]["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Error"}


async def test_the_components_have_the_names_of_the_contract(document: dict[str, Any]) -> None:
    expected = {"User", "Session", "Job", "JobSummary", "SubmittedJob", "Attempt", "Submission",
                "JobType", "Stats", "Ticket", "Status", "Priority", "Schedule", "Error",
                }  # fmt: skip
    assert expected <= set(document["components"]["schemas"])


async def test_times_are_described_as_times(document: dict[str, Any]) -> None:
    job = document["components"]["schemas"]["Job"]["properties"]
    assert job["created_at"] == {"type": "string", "format": "date-time"}
    assert job["payload"] == {"type": "object"}


async def test_a_list_describes_its_filters(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/jobs"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert {"status", "queue", "type", "priority", "tag", "worker", "limit", "cursor"} <= set(
        by_name
    )
    assert by_name["limit"]["schema"]["maximum"] == 200
    assert by_name["status"]["explode"] is False


async def test_a_route_with_a_path_and_a_query_describes_both(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/jobs/{id}/logs"]["get"]["parameters"]
    described = {each["name"]: (each["in"], each["required"]) for each in parameters}
    assert described == {
        "id": ("path", True),
        "attempt": ("query", False),
        "limit": ("query", False),
        "cursor": ("query", False),
    }


async def test_what_is_described_as_open_needs_no_token_and_the_rest_does(
    api: Api, document: dict[str, Any]
) -> None:
    """Enumerated, so that a new route cannot be left open by accident."""
    for method, path, operation in operations(document):
        url = path.replace("{id}", "01a20553-0612-773b-8e86-40ec3bb0c2ae")
        answer = await api.client().request(method, url)
        if "security" in operation:
            assert operation["security"] == [{"bearer": []}], path
            assert answer.json()["error"]["code"] == "UNAUTHENTICATED", path
        elif path not in {"/v1/token/refresh", "/v1/logout"}:
            assert answer.status_code != 401, path


async def test_the_dashboards_types_come_from_the_document_that_is_served(
    document: dict[str, Any],
) -> None:
    kept = json.loads(Path(__file__).parents[2].joinpath("web/openapi.json").read_bytes())
    kept["info"]["version"] = document["info"]["version"]

    assert kept == document, "the API has changed: run `make api-types` against a running server"


async def test_an_answer_without_a_body_is_described_without_one(document: dict[str, Any]) -> None:
    for method, path in (("post", "/v1/logout"), ("delete", "/v1/jobs/{id}")):
        assert "content" not in document["paths"][path][method]["responses"]["204"]
