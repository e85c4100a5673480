"""Where the next page of a list begins, in letters that mean nothing to a client."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from internal.domain.errors import FieldError, ValidationError
from internal.domain.listing import DEFAULT_PAGE, MAX_PAGE, Page

# What the store keeps attempts' numbers in.
MAX_NUMBER: Final = 2**31 - 1

Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="How many at most")]
Cursor = Annotated[
    str | None, Meta(description="`next_cursor` of the page before; leave it out to start")
]


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = DEFAULT_PAGE
    cursor: Cursor = None


def page_of(limit: int, cursor: str | None) -> Page:
    """The page that a query asks for, of a list in the order of its ids.

    Raises:
        ValidationError: for a cursor that no list gave.
    """
    return Page(limit, read_cursor(cursor, UUID))


def write_cursor(mark: object) -> str | None:
    """The mark that the next page goes on behind, as a cursor; None after the last page."""
    if mark is None:
        return None
    return urlsafe_b64encode(msgspec.json.encode(mark)).decode().rstrip("=")


def read_cursor(cursor: str | None, type_: Any) -> Any:
    """The mark that a list gave, None where the list begins.

    Raises:
        ValidationError: when no list gave it.
    """
    if cursor is None:
        return None
    with suppress(ValueError):  # msgspec's errors are such, too
        mark = msgspec.json.decode(urlsafe_b64decode(cursor + "=="), type=type_)
        if write_cursor(mark) == cursor:  # base64 is read leniently above
            return mark
    fault = FieldError("cursor", "is not one that a list gave: leave it out to start over")
    raise ValidationError.of(fault)
