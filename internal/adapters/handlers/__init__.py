"""The job types that every installation has, and the loading of the operator's own."""

from __future__ import annotations

from collections.abc import Iterable

from internal.adapters.handlers.egress import Network
from internal.adapters.handlers.http_call import http_handler
from internal.adapters.handlers.mock import mock
from internal.domain.handlers import Handler


def shipped(allow: Iterable[Network] = ()) -> tuple[Handler, ...]:
    """The shipped handlers; `allow` opens private networks to `http` jobs."""
    return (mock, http_handler(allow))
