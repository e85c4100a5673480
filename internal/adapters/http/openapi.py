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

from internal.adapters.http.errors import STATUS_OF
from internal.adapters.http.examples.declaring import Examples
from internal.adapters.http.examples.every import BY_OPERATION
from internal.adapters.http.requests import ApiRequest
from internal.adapters.http.routes import BEARER
from internal.domain.errors import RateLimitedError, UnavailableError

REF = "#/components/schemas/{name}"

DESCRIPTION = """A hosted job queue: submit jobs, and Windlass runs them by priority and schedule.

Answers are `{"data": ...}`, lists add `next_cursor`, errors are `{"error": ...}` with a stable
`code`. Unknown fields and query parameters are refused. Times are RFC 3339 in UTC.

Where the installation limits how many requests a user makes, every answer to them has
`RateLimit-Limit` (how many may come at once), `RateLimit-Remaining` (how many of them are left) and
`RateLimit-Reset` (in how many seconds all of them are back). What is refused with 429 has
`Retry-After`, in seconds.

Every answer has `X-Request-Id`, which finds the request in the server's log. It is yours if you
send one, such as `X-Request-Id: checkout-42`: up to 100 letters, digits, dots, dashes and
underscores.

To begin, sign up, and give the `access_token` of the answer to *Authorize*. The examples tell one
story: a user, Ada, has mails sent by jobs of the type `email.send`, which her installation has a
handler for. To try things out, use the type `mock`, which every installation has.
"""

NO_CONTENT = "204"
WAITED_OUT = {str(STATUS_OF[error].value) for error in (RateLimitedError, UnavailableError)}
WAIT = {
    "description": "In how many seconds to try again",
    "schema": {"type": "integer", "minimum": 1},
    "example": 2,
}


def describe(route_handlers: Sequence[ControllerRouterHandler], version: str) -> bytes:
    """The document, as JSON, of these routes."""
    bearer = SecurityScheme(
        type="http",
        scheme="bearer",
        bearer_format="JWT",
        description="The `access_token` of a session: `Authorization: Bearer eyJ...`",
    )
    config = OpenAPIConfig(
        title="Windlass",
        version=version,
        description=DESCRIPTION,
        components=Components(security_schemes={BEARER: bearer}),
        use_handler_docstrings=True,
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
            operation = document["paths"][path][method.lower()]
            _complete(operation, handler, schemas)
            BY_OPERATION.get(operation["operationId"], Examples()).add_to(operation)
    for query in {handler.opt["query"] for _, handler in described if "query" in handler.opt}:
        del schemas[query.__name__]
    return msgspec.json.encode(document)


def _described(app: Litestar) -> Iterator[tuple[str, HTTPRouteHandler]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and handler.resolve_include_in_schema():
                yield route.path_format, handler


def _complete(operation: dict[str, Any], handler: HTTPRouteHandler, schemas: Any) -> None:
    """Put right what Litestar describes too simply: answers, optional bodies, queries, headers."""
    operation["responses"] = dict(sorted(operation["responses"].items()))
    _complete_answers(operation["responses"], str(handler.status_code), schemas)
    body = handler.parsed_data_field
    if body is not None and body.has_default:
        operation["requestBody"]["required"] = False
    query = handler.opt.get("query")
    if query is not None:
        properties = schemas[query.__name__]["properties"]
        operation["parameters"] = operation.get("parameters", []) + [
            _query_parameter(name, schema) for name, schema in properties.items()
        ]
    for name, meaning in handler.opt.get("headers", {}).items():
        header = {"name": name, "in": "header", "required": False, "description": meaning}
        operation.setdefault("parameters", []).append({**header, "schema": {"type": "string"}})


def _complete_answers(answers: dict[str, Any], main: str, schemas: Any) -> None:
    """The main answer is described as its type is; the others already are."""
    if main == NO_CONTENT:
        answers[main].pop("content", None)
    for media in answers[main].get("content", {}).values():
        name = media["schema"].get("$ref", "").rpartition("/")[2]
        answers[main]["description"] = schemas[name]["description"] if name else "As text"
    for status in WAITED_OUT & set(answers):
        answers[status]["headers"] = {"Retry-After": WAIT}


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A field of a query; a null or an empty list that it is by default cannot be sent."""
    plain = {key: value for key, value in schema.items() if key not in {"anyOf", "description"}}
    for each in schema.get("anyOf", ())[:1]:
        plain |= each
    if plain.get("default") in {None, ()}:
        plain.pop("default", None)
    meaning = schema["description"] + (", by comma" if plain.get("type") == "array" else "")
    parameter = {"name": name, "in": "query", "required": False, "description": meaning}
    return {**parameter, "schema": plain, "explode": False}


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
