"""The OpenAPI document: paths by Litestar, schemas by msgspec, whose types they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

from internal.adapters.http.requests import ApiRequest
from internal.adapters.http.routes import BEARER

REF = "#/components/schemas/{name}"

DESCRIPTION = """A hosted job queue: submit jobs, and Windlass runs them by priority and schedule.

Answers are `{"data": ...}`, lists add `next_cursor`, errors are `{"error": ...}` with a stable
`code`. Unknown fields and query parameters are refused. Times are RFC 3339 in UTC.

Where the installation limits how many requests a user makes, every answer to them has
`RateLimit-Limit` (how many may come at once), `RateLimit-Remaining` (how many of them are left) and
`RateLimit-Reset` (in how many seconds all of them are back). What is refused with 429 has
`Retry-After`, in seconds.
"""


def describe(route_handlers: Sequence[ControllerRouterHandler], version: str) -> bytes:
    """The document, as JSON, of these routes."""
    bearer = SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")
    config = OpenAPIConfig(
        title="Windlass",
        version=version,
        description=DESCRIPTION,
        components=Components(security_schemes={BEARER: bearer}),
    )
    app = Litestar(
        route_handlers,
        logging_config=None,
        openapi_config=config,
        request_class=ApiRequest,
    )
    document = app.openapi_schema.to_schema()
    # Litestar drops docstrings, `additionalProperties: false` and some limits of msgspec's types.
    described = list(_described(app))
    types = [type_ for _, handler in described for type_ in _types(handler)]
    _, schemas = msgspec.json.schema_components(types, ref_template=REF)
    document["components"]["schemas"] = schemas
    for path, handler in described:
        for method in handler.http_methods:
            _complete(document["paths"][path][method.lower()], handler, schemas)
    return msgspec.json.encode(document)


def _described(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and handler.resolve_include_in_schema():
                yield route.path_format, handler


def _complete(operation: dict[str, Any], handler: HTTPRouteHandler, schemas: Any) -> None:
    """Put right what Litestar describes too simply: empty answers, optional bodies, queries."""
    operation["responses"].get("204", {}).pop("content", None)
    body = handler.parsed_data_field
    if body is not None and body.has_default:
        operation["requestBody"]["required"] = False
    query = handler.opt.get("query")
    if query is not None:
        properties = schemas.pop(query.__name__)["properties"]
        operation["parameters"] = operation.get("parameters", []) + [
            {"name": name, "in": "query", "required": False, "schema": schema, "explode": False}
            for name, schema in properties.items()
        ]
    for name, meaning in handler.opt.get("headers", {}).items():
        header = {"name": name, "in": "header", "required": False, "description": meaning}
        operation.setdefault("parameters", []).append({**header, "schema": {"type": "string"}})


def _types(handler: HTTPRouteHandler) -> Iterator[Any]:
    """The body, the query and the answers."""
    for field in (handler.parsed_fn_signature.return_type, handler.parsed_data_field):
        for each in () if field is None else (field, *field.inner_types):
            if isinstance(each.annotation, type) and issubclass(each.annotation, msgspec.Struct):
                yield each.annotation
    if (query := handler.opt.get("query")) is not None:
        yield query
    for spec in (handler.responses or {}).values():
        yield spec.data_container
