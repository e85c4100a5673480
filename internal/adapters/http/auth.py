"""Who is asking: the access token in the Authorization header, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request

from internal.adapters.http.requests import header, refuse_unknown_query
from internal.domain.errors import UnauthenticatedError
from internal.domain.ports.accounts import TokenIssuer


def admit_anyone(request: Request[Any, Any, Any]) -> None:
    """Before a public route: only the query is looked at."""
    refuse_unknown_query(request)


def admit_users(tokens: TokenIssuer) -> Callable[[Request[Any, Any, Any]], Awaitable[None]]:
    """Before a route of users: runs ahead of reading the body, so strangers cannot send much."""

    async def admit(request: Request[Any, Any, Any]) -> None:
        sent = header(request, b"authorization") or b""
        request.scope["user"] = tokens.verify(_bearer(sent))
        refuse_unknown_query(request)

    return admit


def _bearer(sent: bytes) -> str:
    scheme, _, token = sent.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError
    return token.strip()
