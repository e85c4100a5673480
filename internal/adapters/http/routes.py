"""How a route is declared: what it is called, who is admitted, and what it may refuse."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from internal.adapters.http.auth import admit_anyone
from internal.adapters.http.errors import STATUS_OF, Error
from internal.adapters.http.examples.errors import refused
from internal.domain.errors import (
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
    ValidationError,
    WindlassError,
)

BEARER: Final = "bearer"


def private(
    operation_id: str, summary: str, *errors: type[WindlassError], **more: Any
) -> dict[str, Any]:
    """Keyword arguments of a route for users: admission is the application's default."""
    everywhere = (UnauthenticatedError, RateLimitedError, UnavailableError)
    declared = _declare(operation_id, summary, *everywhere, *errors)
    return {**declared, "security": [{BEARER: []}], **more}


def public(
    operation_id: str, summary: str, *errors: type[WindlassError], **more: Any
) -> dict[str, Any]:
    """Keyword arguments of a route for everybody."""
    declared = _declare(operation_id, summary, *errors)
    return {**declared, "before_request": admit_anyone, **more}


def also(declared: dict[str, Any], status: int, shape: type[Any], description: str) -> None:
    """Document a second success of a route, such as 202 beside 200."""
    spec = ResponseSpec(shape, description=description, generate_examples=False)
    declared["responses"] = {status: spec, **declared["responses"]}


def _declare(operation_id: str, summary: str, *errors: type[WindlassError]) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": summary,
        "responses": _refusals(errors),
    }


def _refusals(errors: tuple[type[WindlassError], ...]) -> dict[int, ResponseSpec]:
    """The documented errors; those that share a status share an entry."""
    by_status: dict[int, list[type[WindlassError]]] = {}
    # Any route may get an unknown query parameter.
    refused_with: tuple[type[WindlassError], ...] = (ValidationError, *errors)
    for error in refused_with:
        by_status.setdefault(STATUS_OF[error].value, []).append(error)
    return {status: _refusal(sharing) for status, sharing in sorted(by_status.items())}


def _refusal(errors: list[type[WindlassError]]) -> ResponseSpec:
    lines = [f"`{error.code}`: {(error.__doc__ or '').strip()}" for error in errors]
    examples = [
        Example(id=error.code, value=msgspec.to_builtins(refused(error))) for error in errors
    ]
    return ResponseSpec(
        Error, description="\n\n".join(lines), examples=examples, generate_examples=False
    )
