"""Where the next page of a list begins, as clients carry it."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from uuid import UUID

from internal.domain.errors import FieldError, ValidationError
from internal.domain.listing import Page


def page_of(limit: int, cursor: str | None) -> Page:
    """The page that a query asks for.

    Raises:
        ValidationError: for a cursor that no list gave.
    """
    return Page(limit, None if cursor is None else _read(cursor))


def cursor_of(next_before: UUID | None) -> str | None:
    """The cursor of the next page, None after the last one."""
    return None if next_before is None else _cursor(next_before)


def _cursor(before: UUID) -> str:
    return urlsafe_b64encode(before.bytes).decode().rstrip("=")


def _read(cursor: str) -> UUID:
    with suppress(ValueError):
        before = UUID(bytes=urlsafe_b64decode(cursor + "=="))
        if _cursor(before) == cursor:  # base64 is read leniently above
            return before
    fault = FieldError("cursor", "is not one that a list gave: leave it out to start over")
    raise ValidationError.of(fault)
