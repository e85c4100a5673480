"""Identifiers that Windlass makes itself."""

from __future__ import annotations

import secrets
from uuid import UUID

import uuid_utils
from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A UUID v7: sorted by time, and strictly increasing within this process (RFC 9562, 6.2)."""
    return uuid7()


def new_request_id() -> str:
    """As `new_id`, written out: six times as fast as writing out a `UUID`."""
    return str(uuid_utils.uuid7())


def new_worker_id() -> str:
    """A name that no worker process had before; it tells users nothing about the machine."""
    return f"w-{secrets.token_hex(6)}"
