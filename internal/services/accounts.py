"""Signing up, logging in and out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.accounts import (
    MAX_PASSWORD_BYTES,
    Actor,
    Role,
    Session,
    User,
    check_credentials,
    email_key,
    is_email,
)
from internal.domain.errors import (
    InvalidCredentialsError,
    RateLimitedError,
    UnauthenticatedError,
)
from internal.domain.ports.accounts import (
    LoginThrottle,
    PasswordHasher,
    Sessions,
    Tickets,
    TokenIssuer,
    Users,
)

TICKET_TTL: Final = timedelta(seconds=30)


class AccountRules(msgspec.Struct, frozen=True):
    """The installation's settings for accounts.

    `admin_email` makes its owner an admin at signup. Addresses are not verified, so it is only
    for an installation that nobody else reaches.
    """

    refresh_ttl: timedelta
    reuse_grace: timedelta
    admin_email: str | None = None


class SignedIn(msgspec.Struct, frozen=True):
    """A user with the tokens of a session; the access token lives for `expires_in` seconds."""

    user: User
    access_token: str
    refresh_token: str
    expires_in: int


class Accounts(msgspec.Struct, frozen=True):
    """The use cases around users and their sessions."""

    users: Users
    sessions: Sessions
    throttle: LoginThrottle
    tickets: Tickets
    hasher: PasswordHasher
    tokens: TokenIssuer
    now: Callable[[], datetime]
    rules: AccountRules

    async def sign_up(self, email: str, password: str) -> SignedIn:
        """Make an account and log it in.

        Raises:
            ValidationError: naming every fault of email and password.
            EmailTakenError: when an account has this email in any spelling.
        """
        check_credentials(email, password)
        hashed = await self.hasher.hash(password)
        user = await self.users.add(email, hashed, self._first_role(email))
        return await self._open_session(user)

    async def log_in(self, email: str, password: str, address: str) -> SignedIn:
        """Prove an account by its password; `address` is where the request came from.

        Raises:
            InvalidCredentialsError: alike for unknown emails and wrong passwords, after equal work.
            RateLimitedError: after too many failures of this email from this address.
        """
        if not is_email(email) or len(password.encode()) > MAX_PASSWORD_BYTES:
            raise InvalidCredentialsError
        wait = await self.throttle.enter(email, address)
        if wait is not None:
            raise RateLimitedError(retry_after=wait)
        user, hashed = await self.users.by_email(email) or (None, None)
        right = await self.hasher.verify(password, hashed)
        if user is None or not right:
            raise InvalidCredentialsError
        await self.throttle.forgive(email, address)
        return await self._open_session(user)

    async def refresh(self, refresh_token: str) -> SignedIn:
        """Exchange a refresh token for fresh ones.

        Raises:
            UnauthenticatedError: when it is forged, was used before, or its session has ended.
        """
        session_id, generation = self._read(refresh_token)
        session = await self.sessions.rotate(
            session_id, generation, ttl=self.rules.refresh_ttl, grace=self.rules.reuse_grace
        )
        if session is None:
            raise UnauthenticatedError("The session has ended: log in again")
        return self._signed_in(await self._user(session.user_id), session)

    async def log_out(self, refresh_token: str) -> None:
        """End the session that a refresh token belongs to; twice is fine.

        Raises:
            UnauthenticatedError: when the token is forged.
        """
        session_id, _ = self._read(refresh_token)
        await self.sessions.end(session_id)

    async def me(self, actor: Actor) -> User:
        """The account of who is acting.

        Raises:
            UnauthenticatedError: when it is gone.
        """
        return await self._user(actor.user_id)

    async def issue_ticket(self, actor: Actor) -> tuple[str, int]:
        """A ticket for one live connection, and for how many seconds it works.

        Raises:
            UnauthenticatedError: when the session has ended.
        """
        ticket = await self.tickets.issue(actor, TICKET_TTL)
        return ticket, TICKET_TTL // timedelta(seconds=1)

    def _first_role(self, email: str) -> Role:
        admin = self.rules.admin_email
        is_admin = admin is not None and email_key(email) == email_key(admin)
        return Role.ADMIN if is_admin else Role.USER

    async def _user(self, user_id: UUID) -> User:
        user = await self.users.get(user_id)
        if user is None:
            raise UnauthenticatedError("This account does not exist any more")
        return user

    def _read(self, refresh_token: str) -> tuple[UUID, int]:
        read = self.tokens.read_refresh(refresh_token)
        if read is None:
            raise UnauthenticatedError("This is no refresh token of ours: log in again")
        return read

    async def _open_session(self, user: User) -> SignedIn:
        session = await self.sessions.open(user.id, self.rules.refresh_ttl)
        return self._signed_in(user, session)

    def _signed_in(self, user: User, session: Session) -> SignedIn:
        access, life = self.tokens.access(session, self.now())
        return SignedIn(user, access, self.tokens.refresh(session), life)
