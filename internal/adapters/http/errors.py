"""The one place that makes HTTP of errors."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException

from internal.adapters.http.faults import BODY, invalid
from internal.domain.errors import (
    EmailTakenError,
    FieldError,
    ForbiddenError,
    IdempotencyConflictError,
    InvalidCredentialsError,
    InvalidStateError,
    LimitReachedError,
    NameTakenError,
    NotFoundError,
    PayloadTooLargeError,
    QueueNotEmptyError,
    QuotaExceededError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    ValidationError,
    WindlassError,
)

STATUS_OF: Final[dict[type[WindlassError], HTTPStatus]] = {
    ValidationError: HTTPStatus.BAD_REQUEST,
    UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    InvalidCredentialsError: HTTPStatus.UNAUTHORIZED,
    ForbiddenError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    EmailTakenError: HTTPStatus.CONFLICT,
    NameTakenError: HTTPStatus.CONFLICT,
    LimitReachedError: HTTPStatus.CONFLICT,
    InvalidStateError: HTTPStatus.CONFLICT,
    QueueNotEmptyError: HTTPStatus.CONFLICT,
    IdempotencyConflictError: HTTPStatus.CONFLICT,
    PayloadTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
    QuotaExceededError: HTTPStatus.TOO_MANY_REQUESTS,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    WindlassError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

# What Litestar refuses by itself. 405 has no counterpart in the domain.
_REFUSED_BY_LITESTAR: Final = {
    400: ("VALIDATION_ERROR", ""),
    404: ("NOT_FOUND", "There is no such route"),
    405: ("METHOD_NOT_ALLOWED", "This route does not have this method"),
}

_log = logging.getLogger(__name__)


class ErrorBody(msgspec.Struct, frozen=True):
    """What was refused. `code` is stable; `details` names the fields at fault."""

    code: str
    message: str
    details: tuple[FieldError, ...]
    request_id: str


class Error(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: ErrorBody


def status_of(error: type[WindlassError]) -> HTTPStatus:
    """The status of a kind of error: its own, or that of the kind that it belongs to."""
    return next(STATUS_OF[kind] for kind in error.__mro__ if kind in STATUS_OF)


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Error]:
    """Litestar's handler for every exception."""
    if isinstance(error, UnavailableError):
        extra = {"request_id": _request_id(request), "reason": error.reason}
        _log.warning("request refused for now", extra=extra)
    if isinstance(error, WindlassError):
        return _answer(request, error, status_of(type(error)))
    if isinstance(error, ValidationException):
        return _answer(request, _invalid(error), HTTPStatus.BAD_REQUEST)
    if isinstance(error, HTTPException) and error.status_code in _REFUSED_BY_LITESTAR:
        return _answer_refusal(request, error)
    _log.error("request failed", exc_info=error, extra={"request_id": _request_id(request)})
    return _answer_unexpected(request)


def body_is_missing() -> ValidationError:
    """The refusal of a request without the body that its route wants."""
    return ValidationError.of(FieldError(BODY, "is required: send a JSON object"))


def _invalid(error: ValidationException) -> ValidationError:
    faults = error.extra if isinstance(error.extra, list) else []
    if not faults:
        return ValidationError(error.detail)
    if faults[0].get("key") in {None, "data"}:
        return body_is_missing()
    return invalid(faults[0]["message"], faults[0]["key"])


def _answer_refusal(request: Request[Any, Any, Any], error: HTTPException) -> Response[Error]:
    code, message = _REFUSED_BY_LITESTAR[error.status_code]
    body = Error(ErrorBody(code, message or error.detail, (), _request_id(request)))
    return _response(body, error.status_code, dict(error.headers or {}))


def _answer(
    request: Request[Any, Any, Any], error: WindlassError, status: HTTPStatus
) -> Response[Error]:
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = Error(ErrorBody(error.code, error.message, error.details, _request_id(request)))
    return _response(body, status, headers)


def _answer_unexpected(request: Request[Any, Any, Any]) -> Response[Error]:
    message = "Something went wrong here; the request_id finds it in the log"
    body = Error(ErrorBody("INTERNAL", message, (), _request_id(request)))
    return _response(body, HTTPStatus.INTERNAL_SERVER_ERROR, {})


def _response(body: Error, status: int, headers: dict[str, str]) -> Response[Error]:
    return Response(body, status_code=int(status), headers=headers, media_type=MediaType.JSON)


def _request_id(request: Request[Any, Any, Any]) -> str:
    return str(request.scope["state"].get("request_id", ""))
