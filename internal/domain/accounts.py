"""Users, their sessions, and who is acting."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from internal.domain.errors import FieldError, ValidationError
from internal.domain.times import Moment

MAX_EMAIL_CHARS: Final = 254
MIN_PASSWORD_BYTES: Final = 8
MAX_PASSWORD_BYTES: Final = 1024

_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")


class Role(StrEnum):
    """What a user may do beyond their own jobs."""

    USER = "user"
    ADMIN = "admin"


class User(msgspec.Struct, frozen=True):
    """A person with an account; each user is a tenant of their own."""

    id: UUID
    email: str
    role: Role
    created_at: Moment


class Actor(msgspec.Struct, frozen=True):
    """The user on whose behalf a call is made, as proven by an access token.

    Every service and repository call that touches a user's data takes one, so a forgotten
    ownership check does not type-check.
    """

    user_id: UUID
    session_id: UUID
    token_expires_at: datetime


class Session(msgspec.Struct, frozen=True):
    """A chain of refresh tokens that began with one login; it ends with a logout or a reuse."""

    id: UUID
    user_id: UUID
    generation: int


def email_key(email: str) -> str:
    """The form under which an email is unique: case does not count."""
    return email.strip().casefold()


def is_email(text: str) -> bool:
    """Whether an account could have this email; its owner is not asked."""
    bare = text.strip()
    return len(bare) <= MAX_EMAIL_CHARS and _EMAIL.fullmatch(bare) is not None


def check_credentials(email: str, password: str) -> None:
    """Refuse what cannot become an account.

    Raises:
        ValidationError: naming every fault of both fields.
    """
    faults: list[FieldError] = []
    if not is_email(email):
        faults.append(FieldError("email", "must be an email address, like ada@example.com"))
    if not MIN_PASSWORD_BYTES <= len(password.encode()) <= MAX_PASSWORD_BYTES:
        faults.append(
            FieldError(
                "password",
                f"must be {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES:,} bytes",
            )
        )
    if faults:
        raise ValidationError.of(*faults)
