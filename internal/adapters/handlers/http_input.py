"""What an `http` job may ask for. All of it is checked when the job is submitted."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

MAX_URL_CHARS: Final = 8192
MAX_HEADERS: Final = 64
MAX_CALL_MS: Final = 3600 * 1000

# `$` also matches before a last line feed, which would end a header early: hence the look-ahead.
HeaderName = Annotated[str, Meta(max_length=100, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$(?!\n)")]
HeaderValue = Annotated[str, Meta(max_length=8192, pattern=r"^([!-~]([ -~\t]*[!-~])?)?$(?!\n)")]

# Those of the connection are ours to set (RFC 9110, 7.6.1); the others frame the message.
_OURS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_VISIBLE: Final = re.compile(r"[!-~]+")
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,254}}\Z){_LABEL}(\.{_LABEL})*\.?")


class HttpInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call of a URL."""

    url: Annotated[
        str,
        Meta(
            max_length=MAX_URL_CHARS,
            description="http or https; credentials belong into an Authorization header",
            examples=["https://example.com/hooks/42"],
        ),
    ]
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(max_length=MAX_HEADERS, description="Sent as they are; Host and framing are set"),
    ] = {}
    body: (
        Annotated[str, Meta(description="Sent as UTF-8; say with a Content-Type header what it is")]
        | None
    ) = None
    timeout_ms: Annotated[
        int, Meta(ge=1, le=MAX_CALL_MS, description="For all of it, from the look-up of the name")
    ] = 30_000

    def __post_init__(self) -> None:
        split_url(self.url)
        for name in map(str.lower, self.headers):
            if name in _OURS or name.startswith("windlass-"):
                raise ValueError(f"the header {name} is set by Windlass: leave it out")


def split_url(url: str) -> SplitResult:
    """The parts of an absolute http or https URL.

    Raises:
        ValueError: saying what is allowed.
    """
    if not _VISIBLE.fullmatch(url):
        raise ValueError(
            "url must be ASCII without spaces: percent-encode the path, write the host in punycode"
        )
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("url must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("url must not hold credentials: send an Authorization header")
    _check_host(parts.hostname or "")
    if parts.port == 0:
        raise ValueError("url must name a port from 1 to 65535, or none")
    return parts


def _check_host(host: str) -> None:
    if ":" in host and "%" not in host:
        IPv6Address(host)
    elif not _NAME.fullmatch(host):
        raise ValueError("url must name a host")
