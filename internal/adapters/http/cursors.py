"""Where the next page of a list begins: a key in base64, which clients hand back as they got it."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from typing import Final
from uuid import UUID

from internal.domain.errors import FieldError, ValidationError
from internal.domain.listing import Page

UUID_BYTES: Final = 16


def page_of(limit: int, cursor: str | None) -> Page:
    """The page that a query asks for, of a list in the order of its ids.

    Raises:
        ValidationError: for a cursor that no list gave.
    """
    before = None if cursor is None else UUID(bytes=read_cursor(cursor, UUID_BYTES))
    return Page(limit, before)


def cursor_of(next_before: UUID | None) -> str | None:
    """The cursor of the next page, None after the last one."""
    return None if next_before is None else write_cursor(next_before.bytes)


def write_cursor(key: bytes) -> str:
    """The cursor that stands for a key."""
    return urlsafe_b64encode(key).decode().rstrip("=")


def read_cursor(cursor: str, size: int | None = None) -> bytes:
    """The key that a cursor stands for: of so many bytes, or of any number.

    Raises:
        ValidationError: when no such list gave it.
    """
    with suppress(ValueError):
        key = urlsafe_b64decode(cursor + "==")
        if size in {None, len(key)} and write_cursor(key) == cursor:  # base64 is read leniently
            return key
    fault = FieldError("cursor", "is not one that a list gave: leave it out to start over")
    raise ValidationError.of(fault)
