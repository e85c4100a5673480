"""What a called server answered, and what that means for the job."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import httpcore
import msgspec

from internal.domain.outcomes import Fail, Retry

MAX_BODY_BYTES: Final = 64 * 1024
MAX_HEADER_CHARS: Final = 16 * 1024
MAX_RETRY_AFTER: Final = timedelta(hours=24)
PREVIEW_CHARS: Final = 200
MAX_DATE_CHARS: Final = 100

_BLANK: Final = re.compile(r"[\s\x00-\x1f\x7f]+")
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_SUCCESS: Final = range(200, 300)
_CLIENT_ERROR: Final = range(400, 500)
# Request timeout, too early, too many requests: the same call may succeed later.
_PASSING: Final = frozenset({408, 425, 429})


class HttpAnswer(msgspec.Struct, frozen=True):
    """The result of an `http` job.

    Header names are in lower case, repeated ones joined by commas. The body is read as UTF-8,
    whatever it is, with U+FFFD for what is not. `truncated`: the body went on after its first
    64 KiB, or headers after the first 16 KiB of them.
    """

    status: int
    headers: dict[str, str]
    body: str
    truncated: bool


async def read_answer(response: httpcore.Response) -> HttpAnswer:
    """Read no more of an answer than is kept."""
    headers, headers_cut = _headers(response.headers)
    body = bytearray()
    assert isinstance(response.stream, AsyncIterable)  # noqa: S101 - narrows the union for mypy
    async for chunk in response.stream:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            break
    return HttpAnswer(
        status=response.status,
        headers=headers,
        body=body[:MAX_BODY_BYTES].decode(errors="replace"),
        truncated=headers_cut or len(body) > MAX_BODY_BYTES,
    )


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], bool]:
    kept: dict[str, str] = {}
    room = MAX_HEADER_CHARS
    for name, value in ((n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in pairs):
        room -= len(name) + len(value)
        if room < 0:
            return kept, True
        kept[name] = f"{kept[name]}, {value}" if name in kept else value
    return kept, False


def judge(answer: HttpAnswer, now: datetime) -> HttpAnswer:
    """Give back an answer that is a success.

    Raises:
        Fail: for 4xx, but for those that may pass.
        Retry: for the rest, redirects among them: they are not followed.
    """
    if answer.status in _SUCCESS:
        return answer
    reason = f"the server answered {answer.status}"
    if location := answer.headers.get("location"):
        reason += f" and names {location[:PREVIEW_CHARS]}, which is not followed"
    if preview := _preview(answer.body):
        reason += f": {preview}"
    if answer.status in _CLIENT_ERROR and answer.status not in _PASSING:
        raise Fail(reason)
    raise Retry(reason, after=retry_after(answer.headers.get("retry-after", ""), now))


def _preview(body: str) -> str:
    """The body's beginning on one line, without the control characters that storage refuses."""
    return _BLANK.sub(" ", body[:PREVIEW_CHARS]).strip()


def retry_after(value: str, now: datetime) -> timedelta | None:
    """What a Retry-After header asks for, in seconds or by a date: at most 24 hours."""
    if _SECONDS.fullmatch(value):
        wait = timedelta(seconds=int(value))
    else:
        try:
            wait = parsedate_to_datetime(value[:MAX_DATE_CHARS]).replace(tzinfo=UTC) - now
        except (ValueError, OverflowError):
            return None
    return min(max(wait, timedelta(0)), MAX_RETRY_AFTER)
