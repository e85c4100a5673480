"""Walks through the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.api import Api

METHODS = ("get", "post", "put", "patch", "delete")

Document = dict[str, Any]


async def read_document(api: Api) -> Document:
    answer = await api.client().get("/openapi.json")
    assert answer.status_code == 200
    document: Document = answer.json()
    return document


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def examples(described: dict[str, Any]) -> list[Any]:
    """Those of a media type: its only one, or each of several."""
    if "example" in described:
        return [described["example"]]
    return [each["value"] for each in described.get("examples", {}).values()]
