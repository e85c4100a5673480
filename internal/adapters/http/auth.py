"""Who is asking: the access token in the Authorization header, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar import Request

from internal.adapters.http.frame import MORE_HEADERS
from internal.adapters.http.requests import header, refuse_unknown_query
from internal.domain.errors import RateLimitedError, UnauthenticatedError
from internal.domain.ports.accounts import TokenIssuer
from internal.services.rate import RequestRate


def admit_anyone(request: Request[Any, Any, Any]) -> None:
    """Before a public route: only the query is looked at."""
    refuse_unknown_query(request)


def admit_users(
    tokens: TokenIssuer, rate: RequestRate | None
) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Before a route of users: runs ahead of reading the body, so strangers cannot send much.

    Args:
        rate: how many requests a user may make; None is no limit.
    """

    async def admit(request: Request[Any, Any, Any]) -> None:
        sent = header(request, b"authorization") or b""
        actor = request.scope["user"] = tokens.verify(_bearer(sent))
        if rate is not None:
            _count(request, rate, actor.user_id)
        refuse_unknown_query(request)

    return admit


def _count(request: Request[Any, Any, Any], rate: RequestRate, user_id: UUID) -> None:
    standing = rate.take(user_id)
    request.scope["state"][MORE_HEADERS] = (
        (b"ratelimit-limit", b"%d" % standing.limit),
        (b"ratelimit-remaining", b"%d" % standing.remaining),
        (b"ratelimit-reset", b"%d" % standing.reset_s),
    )
    if standing.retry_after_s is not None:
        message = f"You make more than {rate.per_s} requests a second: wait and try again"
        raise RateLimitedError(message, retry_after=standing.retry_after_s)


def _bearer(sent: bytes) -> str:
    scheme, _, token = sent.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError
    return token.strip()
