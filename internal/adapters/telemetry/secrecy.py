"""The last line of defence: what looks like a secret is not written, wherever it came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

_HIDDEN: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"authorization|cookie|password|secret|ticket|token", re.IGNORECASE
)
_SECRET_TEXT: Final = re.compile(
    r"""
    (?<=bearer\s)\S+                    # an Authorization header
    | \beyJ[\w-]+\.[\w-]+\.[\w-]*       # a JWT
    | (?<=://)[^\s/@]+:[^\s@]+(?=@)     # user and password of a URL
    """,
    re.IGNORECASE | re.VERBOSE,
)


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: hides texts under telling names, and telling texts anywhere."""
    return {name: _hide(name, value) for name, value in event.items()}


def _hide(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _hide(str(key), inner) for key, inner in value.items()}
    if not isinstance(value, str):
        return value
    return _HIDDEN if _SECRET_NAME.search(name) else _SECRET_TEXT.sub(_HIDDEN, value)
