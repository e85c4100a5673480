"""The last line of defence: what looks like a secret is not written, wherever it came from.

Each step reads the text once, however it is made up: a pattern that backtracks would hold the loop
for as long as a stranger likes.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"
AFTER_SCHEME: Final = "://"

_SECRET_NAME: Final = re.compile(
    r"authorization|cookie|password|secret|ticket|token", re.IGNORECASE
)
_BEARER: Final = re.compile(r"(?<=bearer\s)\S+", re.IGNORECASE)
# A JWT begins with `{"` in base64; it may stand behind other words of its run.
_DOTTED_RUN: Final = re.compile(r"[\w.-]+")
_JWT_START: Final = re.compile(r"(?<!\w)eyJ")
_RUN: Final = re.compile(r"\S+")
_USER: Final = re.compile(r"[^/@:]*")


def is_telling(name: str) -> bool:
    """Whether what has this name is a secret."""
    return _SECRET_NAME.search(name) is not None


def hidden(text: str, *, is_cut: bool = False) -> str:
    """The text with everything that looks like a secret left out.

    Where the text is cut, a secret may have lost its end: it is taken for one all the same.
    """
    if is_cut:
        # What would end a JWT's part, and the credentials of a URL.
        return hidden(f"{text}.@").removesuffix("@").removesuffix(".") + "…"
    text = _BEARER.sub(HIDDEN, text)
    if "eyJ" in text:
        text = _DOTTED_RUN.sub(_without_jwt, text)
    if AFTER_SCHEME in text and "@" in text:
        text = _RUN.sub(_without_credentials, text)
    return text


def _without_jwt(run: re.Match[str]) -> str:
    start = _JWT_START.search(run[0])
    if start is None or "." not in run[0][start.end() :]:
        return run[0]
    return run[0][: start.start()] + HIDDEN


def _without_credentials(run: re.Match[str]) -> str:
    """Without `user:password` between `://` and `@`; the user may be empty."""
    text = run[0]
    kept: list[str] = []
    done, at = 0, -1
    while (mark := text.find(AFTER_SCHEME, done)) >= 0:
        start = mark + len(AFTER_SCHEME)
        if at < start:
            at = text.find("@", start)
        if at < 0:
            break
        user = _USER.match(text, start)
        if user is not None and text[user.end()] == ":":
            kept += (text[done:start], HIDDEN)
            done = at
        else:
            kept.append(text[done:start])
            done = start
    return "".join((*kept, text[done:]))
