"""How a route is declared: what it is called, who is admitted, and what it may refuse."""

from __future__ import annotations

from typing import Any, Final

from litestar.openapi.datastructures import ResponseSpec

from internal.adapters.http.auth import admit_anyone
from internal.adapters.http.errors import STATUS_OF, Error
from internal.domain.errors import (
    UnauthenticatedError,
    UnavailableError,
    ValidationError,
    WindlassError,
)

BEARER: Final = "bearer"

# Any route may meet these: an unknown query parameter, and a database that is away.
ALWAYS: Final[tuple[type[WindlassError], ...]] = (ValidationError, UnavailableError)


def private(
    operation_id: str, summary: str, *errors: type[WindlassError], **more: Any
) -> dict[str, Any]:
    """Keyword arguments of a route for users: admission is the application's default."""
    security: list[dict[str, list[str]]] = [{BEARER: []}]
    return _declare(operation_id, summary, (UnauthenticatedError, *errors), more, security=security)


def public(
    operation_id: str, summary: str, *errors: type[WindlassError], **more: Any
) -> dict[str, Any]:
    """Keyword arguments of a route for everybody."""
    return _declare(operation_id, summary, errors, more, before_request=admit_anyone)


def answer(shape: type[Any], description: str) -> ResponseSpec:
    """A second success of a route, such as 202 beside 200, for its `responses`."""
    return ResponseSpec(shape, description=description, generate_examples=False)


def _declare(
    operation_id: str,
    summary: str,
    errors: tuple[type[WindlassError], ...],
    more: dict[str, Any],
    **admission: Any,
) -> dict[str, Any]:
    responses = {**more.pop("responses", {}), **_refusals(errors)}
    names = {"operation_id": operation_id, "summary": summary, "responses": responses}
    return {**names, **admission, **more}


def _refusals(errors: tuple[type[WindlassError], ...]) -> dict[int, ResponseSpec]:
    """The documented errors; those that share a status share an entry."""
    by_status: dict[int, list[str]] = {}
    for error in (*errors, *ALWAYS):
        line = f"`{error.code}`: {(error.__doc__ or '').strip()}"
        by_status.setdefault(STATUS_OF[error].value, []).append(line)
    return {
        status: ResponseSpec(Error, description="\n\n".join(lines), generate_examples=False)
        for status, lines in sorted(by_status.items())
    }
