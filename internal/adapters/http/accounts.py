"""The routes of accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta

from internal.adapters.http.cookies import CLIENT_HEADER, cookie_token, refresh_cookie
from internal.adapters.http.requests import ApiRequest
from internal.adapters.http.routes import BEARER, private, public
from internal.domain.accounts import MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES, User
from internal.domain.errors import (
    EmailTakenError,
    ForbiddenError,
    InvalidCredentialsError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
)
from internal.services.accounts import Accounts, SignedIn

TAGS: Final = ("Accounts",)
CLIENT_MEANING: Final = (
    "Required with the cookie, whatever its value: a page of another site cannot send it"
)
PASSWORD_RULE = f"{MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES:,} bytes of UTF-8"


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An email, in any case, and its password."""

    email: str
    password: Annotated[str, Meta(description=PASSWORD_RULE)]
    cookie: Annotated[
        bool, Meta(description="For browsers: the refresh token comes as a cookie only")
    ] = False


class RefreshToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The refresh token of a session; browsers in cookie mode send none."""

    refresh_token: str | None = None


class Session(msgspec.Struct, frozen=True):
    """Who is logged in, and their tokens. The access token lives for `expires_in` seconds."""

    user: User
    access_token: str
    refresh_token: Annotated[str | None, Meta(description="null in cookie mode")]
    token_type: Literal["bearer"]
    expires_in: int


class SessionAnswer(msgspec.Struct, frozen=True):
    """Logged in."""

    data: Session


class UserAnswer(msgspec.Struct, frozen=True):
    """One user."""

    data: User


class AccountRoutes:
    """Signing up, logging in and out."""

    def __init__(self, accounts: Accounts, refresh_ttl: timedelta) -> None:
        self._accounts = accounts
        self._cookie_life = refresh_ttl // timedelta(seconds=1)

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        token_errors = (UnauthenticatedError, ForbiddenError, UnavailableError)
        login_errors = (InvalidCredentialsError, RateLimitedError, UnavailableError)
        signup_errors = (EmailTakenError, UnavailableError)
        signup = public("signup", "Make an account and log in", *signup_errors, tags=TAGS)
        login = public("login", "Log in", *login_errors, tags=TAGS)
        refresh = public("refresh", "Renew the session", *token_errors, tags=TAGS)
        logout = public("logout", "Log out", *token_errors, tags=TAGS)
        me = private("me", "Get your account", tags=TAGS)
        from_browser = {"headers": {CLIENT_HEADER: CLIENT_MEANING}}
        return [
            post("/v1/signup", **signup)(self.sign_up),
            post("/v1/login", status_code=200, **login)(self.log_in),
            post("/v1/token/refresh", status_code=200, opt=from_browser, **refresh)(self.refresh),
            post("/v1/logout", status_code=204, opt=from_browser, **logout)(self.log_out),
            get("/v1/me", **me)(self.me),
        ]

    async def sign_up(
        self, request: ApiRequest, data: JSONBody[Credentials]
    ) -> Response[SessionAnswer]:
        """Make an account and log in to it: the answer holds the tokens of a session.

        An email has one account, whatever its case; nothing is sent to it. With `"cookie": true`
        the refresh token comes as an HttpOnly cookie and not in the body: for browsers.
        """
        signed_in = await self._accounts.sign_up(data.email, data.password)
        return self._answer(request, signed_in, in_cookie=data.cookie)

    async def log_in(
        self, request: ApiRequest, data: JSONBody[Credentials]
    ) -> Response[SessionAnswer]:
        """Begin a session: send its access token with each request, as `Authorization: Bearer`.

        The token works for `expires_in` seconds; then renew the session with the refresh token.
        After too many failures for one email from one address the answer is 429 for a while.
        """
        address = request.client.host if request.client else ""
        signed_in = await self._accounts.log_in(data.email, data.password, address)
        return self._answer(request, signed_in, in_cookie=data.cookie)

    async def refresh(
        self, request: ApiRequest, data: JSONBody[RefreshToken | None] = None
    ) -> Response[SessionAnswer]:
        """Exchange a refresh token for a new access token and a new refresh token.

        Each refresh token works once: keep the new one. One that is used again later ends the
        session, since somebody may have copied it. Browsers send no body but the cookie, and the
        header X-Windlass-Client.
        """
        sent = data.refresh_token if data else None
        signed_in = await self._accounts.refresh(sent or cookie_token(request))
        return self._answer(request, signed_in, in_cookie=sent is None)

    async def log_out(
        self, request: ApiRequest, data: JSONBody[RefreshToken | None] = None
    ) -> Response[None]:
        """End the session that a refresh token, or the cookie, belongs to.

        Its refresh tokens work no more and its live connections close. Access tokens that were
        given out already work until they expire.
        """
        sent = data.refresh_token if data else None
        await self._accounts.log_out(sent or cookie_token(request))
        forgotten = [] if sent else [refresh_cookie(request, "", 0)]
        return Response(None, cookies=forgotten)

    async def me(self, request: ApiRequest) -> UserAnswer:
        """Tell whose access token this is, and whether they are an admin."""
        return UserAnswer(await self._accounts.me(request.user))

    def _answer(
        self, request: ApiRequest, signed_in: SignedIn, *, in_cookie: bool
    ) -> Response[SessionAnswer]:
        token = signed_in.refresh_token
        session = Session(
            user=signed_in.user,
            access_token=signed_in.access_token,
            refresh_token=None if in_cookie else token,
            token_type=BEARER,
            expires_in=signed_in.expires_in,
        )
        cookies = [refresh_cookie(request, token, self._cookie_life)] if in_cookie else []
        return Response(SessionAnswer(session), cookies=cookies)
