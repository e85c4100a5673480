"""The refresh token of browsers: a cookie that no script reads and no other site can use."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from litestar.datastructures import Cookie

from internal.adapters.http.requests import ApiRequest
from internal.domain.errors import ForbiddenError, UnauthenticatedError

COOKIE: Final = "windlass_refresh"
PATH: Final = "/v1"
# A form or an image of another site cannot send a header of its own.
CLIENT_HEADER: Final = "X-Windlass-Client"


def refresh_cookie(request: ApiRequest, token: str, max_age: int) -> Cookie:
    """The cookie that keeps a token for `max_age` seconds; 0 forgets it."""
    return Cookie(
        key=COOKIE,
        value=token,
        path=PATH,
        max_age=max_age,
        httponly=True,
        samesite="strict",
        secure=not _is_plain_loopback(request),
    )


def cookie_token(request: ApiRequest) -> str:
    """The token in the cookie, if the request comes from our own pages.

    Raises:
        UnauthenticatedError: when there is none.
        ForbiddenError: when another site may have sent it.
    """
    token = request.cookies.get(COOKIE)
    if not token:
        raise UnauthenticatedError("Send a refresh_token, or log in with 'cookie': true first")
    if CLIENT_HEADER not in request.headers:
        raise ForbiddenError("With the cookie, send the header X-Windlass-Client too")
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != _host(request):
        raise ForbiddenError("The cookie only works from this server's own pages")
    return token


def _is_plain_loopback(request: ApiRequest) -> bool:
    """Plain HTTP on the browser's own machine: with `Secure` it would drop the cookie."""
    if request.scope["scheme"] != "http":
        return False
    try:
        name = urlsplit(f"//{_host(request)}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _host(request: ApiRequest) -> str:
    return request.headers.get("host", "")
