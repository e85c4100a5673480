"""Readers of environment variables' texts; each raises ValueError saying what is allowed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from internal.adapters.postgres.dsn import read_dsn
from internal.domain.durations import parse_duration

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Choice = TypeVar("Choice", bound=StrEnum)

MIN_SECRET_BYTES: Final = 32

_SCHEME: Final = re.compile(r"(postgres|postgresql|postgresql\+asyncpg)://(?=.)")
_MODULE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def text(value: str) -> str:
    """Any text."""
    return value


def optional(read: Callable[[str], str]) -> Callable[[str], str]:
    """The same, or nothing."""
    return lambda value: read(value) if value else ""


def path(value: str) -> Path:
    """A folder; a leading `~` is the home folder."""
    return Path(value).expanduser()


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def read(value: str) -> int:
        if not re.fullmatch(r"\d{1,18}", value, re.ASCII) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}, without commas")
        return int(value)

    return read


def share(value: str) -> float:
    """A part of a whole, below all of it."""
    if not re.fullmatch(r"0?\.\d{1,9}|0", value, re.ASCII):
        raise ValueError("must be a share from 0 to below 1, like 0.1")
    return float(value)


def duration(low: str, high: str) -> Callable[[str], timedelta]:
    """A duration within bounds."""

    def read(value: str) -> timedelta:
        found = parse_duration(value)
        if not parse_duration(low) <= found <= parse_duration(high):
            raise ValueError(f"must be a duration from {low} to {high}")
        return found

    return read


def choice(of: type[Choice]) -> Callable[[str], Choice]:
    """One of an enumeration's values."""

    def read(value: str) -> Choice:
        try:
            return of(value)
        except ValueError:
            raise ValueError(f"must be {' or '.join(of)}") from None

    return read


def networks(value: str) -> tuple[Network, ...]:
    """CIDR networks, separated by commas."""
    try:
        return tuple(ipaddress.ip_network(each) for each in _items(value))
    except ValueError:
        raise ValueError("must be networks like 10.0.0.0/8,fd00::/8, without host bits") from None


def modules(value: str) -> tuple[str, ...]:
    """Names of Python modules, separated by commas."""
    found = _items(value)
    if not all(_MODULE.fullmatch(each) for each in found):
        raise ValueError("must be names of Python modules like shop.jobs,shop.mail")
    return found


def database_url(value: str) -> str:
    """A PostgreSQL URL, given back as `postgresql://...` for any of the schemes in use."""
    url = _SCHEME.sub("postgresql://", value, count=1)
    read_dsn(url)
    return url


def secret(value: str) -> str:
    """A secret that is long enough to sign with."""
    if len(value.encode()) < MIN_SECRET_BYTES:
        raise ValueError(
            f"must be at least {MIN_SECRET_BYTES} bytes; 'openssl rand -hex 32' makes one"
        )
    return value


def hide_credentials(url: str) -> str:
    """A database URL that may be shown: without user, password and password parameters."""
    scheme, separator, rest = url.rpartition("://")
    place = rest.rpartition("@")[2]
    hidden = f"***@{place}" if "@" in rest else place
    return re.sub(r"(password=)[^&]*", r"\1***", f"{scheme}{separator}{hidden}")


def _items(value: str) -> tuple[str, ...]:
    return tuple(item for each in value.split(",") if (item := each.strip()))
