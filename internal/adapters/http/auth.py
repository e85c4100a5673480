"""Who is asking: the access token in the Authorization header, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request

from internal.adapters.http.requests import ApiRequest, refuse_unknown_query
from internal.domain.accounts import Actor
from internal.domain.errors import UnauthenticatedError
from internal.domain.ports.accounts import TokenIssuer


def admit_anyone(request: Request[Any, Any, Any]) -> None:
    """Before a public route: only the query is looked at."""
    refuse_unknown_query(request)


def admit_users(tokens: TokenIssuer) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Before a route of users: runs ahead of reading the body, so strangers cannot send much."""

    async def admit(request: Request[Any, Any, Any]) -> None:
        request.scope["user"] = tokens.verify(_bearer(request.headers.get("authorization", "")))
        refuse_unknown_query(request)

    return admit


def acting(request: ApiRequest) -> Actor:
    """What a handler's `actor` is: the user who was admitted."""
    return request.user


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError
    return token.strip()
