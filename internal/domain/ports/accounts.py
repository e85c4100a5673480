"""Keeping users and sessions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from internal.domain.accounts import Actor, Role, Session, User


class Users(Protocol):
    """The accounts."""

    async def add(self, email: str, password_hash: str, role: Role) -> User:
        """Keep a new user, with a place in the fair queue.

        Raises:
            EmailTakenError: when the email exists in any spelling; also when two come at once.
        """

    async def by_email(self, email: str) -> tuple[User, str] | None:
        """The user and their password hash."""

    async def get(self, user_id: UUID) -> User | None:
        """The user, None once deleted."""

    async def set_role(self, email: str, role: Role) -> bool:
        """Change a role; False when nobody has this email."""


class Sessions(Protocol):
    """The chains of refresh tokens. A token is never stored: it is derived (see TokenIssuer)."""

    async def open(self, user_id: UUID, ttl: timedelta) -> Session:
        """Start a session at generation 1."""

    async def rotate(
        self, session_id: UUID, generation: int, *, ttl: timedelta, grace: timedelta
    ) -> Session | None:
        """Exchange a genuine token of `generation` for its successor, in one transaction.

        The current generation moves on by one. The one just replaced gives the same successor
        again within `grace`, since an answer may have been lost. Anything older, or late, is a
        reuse: the session ends. None when it has ended, expired or never was.
        """

    async def end(self, session_id: UUID) -> None:
        """End a session and tell the live connections that were opened with it; twice is fine."""

    async def is_open(self, session_id: UUID) -> bool:
        """Whether the session has neither ended nor expired."""


class LoginThrottle(Protocol):
    """Counts failed logins of one email from one address."""

    async def enter(self, email: str, address: str) -> int | None:
        """Count one attempt as failed before its password is looked at.

        Counting first is what holds the limit when many guesses come at once. Returns how many
        seconds to wait when the limit is passed, else None.
        """

    async def forgive(self, email: str, address: str) -> None:
        """Forget the failures after a success."""


class Tickets(Protocol):
    """One-time tickets with which browsers open their WebSocket."""

    async def issue(self, actor: Actor, ttl: timedelta) -> str:
        """A new secret; only its hash is kept.

        Raises:
            UnauthenticatedError: when the actor's session has ended.
        """

    async def redeem(self, ticket: str) -> Actor | None:
        """Who it was issued to; it works once, and not after its time."""


class PasswordHasher(Protocol):
    """Slow on purpose, and off the event loop."""

    async def hash(self, password: str) -> str:
        """A salted hash."""

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether they match; None, for an unknown user, takes as long and is False."""


class TokenIssuer(Protocol):
    """Access and refresh tokens."""

    def access(self, session: Session, now: datetime) -> tuple[str, int]:
        """A signed access token and its life in seconds."""

    def verify(self, token: str) -> Actor:
        """Who an access token stands for.

        Raises:
            UnauthenticatedError: when it is forged, ended, or no access token.
        """

    def refresh(self, session: Session) -> str:
        """The refresh token of a session's generation: the same each time it is asked for."""

    def read_refresh(self, token: str) -> tuple[UUID, int] | None:
        """Session and generation of a genuine refresh token, None for any other text."""
