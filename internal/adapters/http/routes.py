"""How a route is declared: what it is called, who is admitted, and what it may refuse."""

from __future__ import annotations

from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec

from internal.adapters.http.auth import admit_anyone
from internal.adapters.http.errors import STATUS_OF, Error
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
        "response_description": summary,
        "responses": _refusals(errors),
    }


def _refusals(errors: tuple[type[WindlassError], ...]) -> dict[int, ResponseSpec]:
    """The documented errors; those that share a status share an entry."""
    by_status: dict[int, list[str]] = {}
    # Any route may get an unknown query parameter.
    refused: tuple[type[WindlassError], ...] = (ValidationError, *errors)
    for error in refused:
        line = f"`{error.code}`: {(error.__doc__ or '').strip()}"
        by_status.setdefault(STATUS_OF[error].value, []).append(line)
    return {
        status: ResponseSpec(Error, description="\n\n".join(lines), generate_examples=False)
        for status, lines in sorted(by_status.items())
    }
