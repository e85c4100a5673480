"""The OpenAPI document: paths by Litestar, schemas by msgspec, whose types they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler

from internal.adapters.http.auth import acting
from internal.adapters.http.routes import BEARER

REF = "#/components/schemas/{name}"

DESCRIPTION = """A hosted job queue: submit jobs, and Windlass runs them by priority and schedule.

Answers are `{"data": ...}`, lists add `next_cursor`, errors are `{"error": ...}` with a stable
`code`. Unknown fields and query parameters are refused. Times are RFC 3339 in UTC.
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
    actor = Provide(acting, sync_to_thread=False)
    app = Litestar(
        route_handlers, dependencies={"actor": actor}, openapi_config=config, logging_config=None
    )
    document = app.openapi_schema.to_schema()
    # Litestar drops docstrings, `additionalProperties: false` and some limits of msgspec's types.
    _, schemas = msgspec.json.schema_components(list(_types(app)), ref_template=REF)
    document["components"]["schemas"] = schemas
    return msgspec.json.encode(document)


def _types(app: Litestar) -> Iterator[Any]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and handler.resolve_include_in_schema():
                yield from _types_of(handler)


def _types_of(handler: HTTPRouteHandler) -> Iterator[Any]:
    """The body, the answers, and the named types among the parameters."""
    signature = handler.parsed_fn_signature
    fields = [signature.return_type, *signature.parameters.values()]
    for field in fields:
        for each in (field, *field.inner_types):
            if isinstance(each.annotation, type) and issubclass(each.annotation, msgspec.Struct):
                yield each.annotation
    for spec in (handler.responses or {}).values():
        yield spec.data_container
