"""Dead letters: failed jobs, grouped by what went wrong."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import Meta

from internal.domain.times import Moment

MAX_MESSAGE_CHARS: Final = 200
# What comes later in an error tells no more about its kind, and is not searched for patterns.
READ_CHARS: Final = 1_000
# The group of what failed before there were groups, or whose error could not be stored.
UNKNOWN: Final = 0

SIXTEEN_DIGITS: Final = r"^[0-9a-f]{16}$(?!\n)"
Fingerprint = Annotated[str, Meta(pattern=SIXTEEN_DIGITS)]

# Tried in this order at each place. A status of HTTP is a number that tells errors apart.
_VARIABLE: Final = re.compile(
    r"""
      (?P<kept>   \b(?:HTTP(?:/\d(?:\.\d)?)?|status(?:[ ]code)?|answered)[ :=]{1,2}[1-5]\d\d\b)
    | (?P<url>    \b[a-z][a-z0-9+.-]{1,20}://[^\s'"<>`]+)
    | (?P<time>   \d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?
                  (?:[ ]?(?:Z\b|[+-]\d\d:?\d\d))?)
    | (?P<uuid>   \b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b)
    | (?P<text>   "[^"]*(?:"|$) | `[^`]*(?:`|$) | (?<!\w)'[^']*(?:'(?!\w)|$))
    | (?P<path>   (?<![\w/])~?(?:/[\w.@%+~-]+){2,}/?)
    | (?P<number> \b0x[0-9a-f]+\b
                | \b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b
                | (?:(?<!\w)[-+])?\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?)
    """,
    re.VERBOSE | re.IGNORECASE,
)


class Failure(msgspec.Struct, frozen=True):
    """What is the same about failed jobs of one user: their type, and the error's normal form."""

    user_id: UUID
    fingerprint: int
    type: str
    message: str


class FailureGroup(msgspec.Struct, frozen=True):
    """Jobs of a user that stand as failed with the same type and the same normalised error.

    `type` is null for what failed before failures were grouped.
    """

    fingerprint: str
    type: str | None
    message: str
    count: int
    first_seen: Moment
    last_seen: Moment


class GroupMark(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of groups ends: they go by count, then by fingerprint."""

    count: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    fingerprint: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


def failure_of(user_id: UUID, type_: str, error: str | None) -> Failure:
    """The group that a job of this type falls into when it fails with this error."""
    message = normalised(error or "")
    digest = hashlib.sha256(f"{type_}\0{message}".encode()).digest()
    return Failure(user_id, int.from_bytes(digest[:8], signed=True), type_, message)


def normalised(error: str) -> str:
    """The first line of an error with placeholders for what differs from job to job.

    Numbers, ids, times, quoted text, and of paths and URLs the parts that hold digits.
    """
    first = error.lstrip()[:READ_CHARS].partition("\n")[0].rstrip()
    return _VARIABLE.sub(_placeholder, first)[:MAX_MESSAGE_CHARS]


def written(fingerprint: int) -> str:
    """A fingerprint as users see it."""
    return fingerprint.to_bytes(8, signed=True).hex()


def read(fingerprint: str) -> int:
    """A fingerprint as it is stored."""
    return int.from_bytes(bytes.fromhex(fingerprint), signed=True)


def _placeholder(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "kept":
            return found[0]
        case "url":
            scheme, _, rest = found[0].partition("://")
            place, asked, _ = rest.partition("?")
            host, slash, path = place.partition("/")
            return f"{scheme}://{host}{slash}{_steady(path)}{asked and '?<query>'}"
        case "path":
            return _steady(found[0])
        case kind:
            return f"<{kind}>"


def _steady(path: str) -> str:
    """A path with its segments that look like names of single things left out."""
    return "/".join(
        "<id>" if any(char.isdigit() for char in segment) else segment
        for segment in path.split("/")
    )
