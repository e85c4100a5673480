"""Reads `DATABASE_URL`, as libpq spells it, once and for every connection."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlencode

import msgspec

from internal.adapters.postgres.session_settings import HOT

DEFAULT_PORT: Final = 5432
LAST_PORT: Final = 65_535
# Of all hosts together; with several, each gets its share, so that one that does not even refuse
# leaves time for the others.
CONNECT_TIMEOUT_S: Final = 5.0
LONGEST_CONNECT_S: Final = 60

_URL: Final = re.compile(
    r"postgres(?:ql)?://"
    r"(?:(?P<user>[^:@/?]*)(?::(?P<password>[^@/]*))?@)?"
    r"(?P<hosts>[^/?]*)"
    r"(?:/(?P<database>[^?]*))?"
    r"(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_HOST: Final = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:]*))(?::(?P<port>\d*))?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_SECONDS: Final = re.compile(r"[0-9]{1,9}")
_WORD: Final = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_OPTION: Final = re.compile(r"(?:-c\s*|--)(?P<name>[\w.-]+)=(?P<value>.*)", re.DOTALL)

_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# Windlass writes: a standby is of no use to it.
_TARGETS: Final = ("any", "primary", "read-write")
# The operating system's list of authorities.
_SYSTEM: Final = "system"

# Parameters that asyncpg reads itself.
_PASSED_ON: Final = frozenset(
    {
        "gsslib",
        "krbsrvname",
        "passfile",
        "service",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
    }
)
_FILES: Final = ("sslcert", "sslcrl", "sslkey", "sslrootcert")
# Parameters of which only these values describe what asyncpg does; they change nothing.
_AS_IT_IS: Final[Mapping[str, tuple[str, ...]]] = {
    "channel_binding": ("disable", "prefer"),
    "client_encoding": ("auto", "utf8", "UTF8", "utf-8", "UTF-8"),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
_READ_HERE: Final = frozenset(
    {
        "application_name",
        "connect_timeout",
        "database",
        "dbname",
        "fallback_application_name",
        "host",
        "options",
        "password",
        "port",
        "target_session_attrs",
        "user",
    }
)
_INSTEAD: Final[Mapping[str, str]] = {
    "hostaddr": "use host",
    "keepalives": "a statement that gets no answer is given up after 20 s without it",
    "pgbouncer": "no setting is needed for a PgBouncer in session mode",
    "schema": "use options=-csearch_path%3DNAME",
    "search_path": "use options=-csearch_path%3DNAME",
    "ssl": "use sslmode",
}


class Dsn(msgspec.Struct, frozen=True):
    """A database's URL in parts.

    `hosts` are (host or socket folder, port); none means asyncpg's own search, which also reads
    `PGHOST`. `settings` are those of `options`; `more` are parameters for asyncpg to read.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str | None
    password: str | None
    database: str | None
    target: str
    connect_timeout_s: float
    application_name: str | None
    settings: Mapping[str, str]
    more: Mapping[str, str]

    def arguments(self) -> dict[str, Any]:
        """What `asyncpg.connect` takes, but for host and port."""
        more = dict(self.more)
        context = _system_context(more) if more.get("sslrootcert") == _SYSTEM else None
        return {
            "dsn": f"postgresql://?{urlencode(more)}" if more else "postgresql://",
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "target_session_attrs": self.target,
            **({} if context is None else {"ssl": context}),
        }


def read_dsn(url: str) -> Dsn:
    """Take a URL apart.

    Raises:
        ValueError: naming the part or parameter that cannot be used, and never its secrets.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("must be like postgresql://user:password@host:5432/database")
    if "@" in found["hosts"] or (found["user"] is None and "@" in (found["database"] or "")):
        raise ValueError("has a password with @ or /: write those as %40 and %2F")
    query = _query(found["query"] or "")
    hosts = _hosts(found["hosts"], query)
    return Dsn(
        hosts=hosts,
        user=query.get("user") or _text(found["user"]),
        password=query.get("password") or _text(found["password"]),
        database=query.get("dbname") or query.get("database") or _text(found["database"]),
        target=_target(query, several=len(hosts) > 1),
        connect_timeout_s=_connect_timeout(query, len(hosts)),
        application_name=query.get("application_name") or query.get("fallback_application_name"),
        settings=_options(query.get("options", "")),
        more=_for_asyncpg(query),
    )


def _query(text: str) -> dict[str, str]:
    query: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, _, value = map(unquote, part.partition("="))
        _check_known(name, value)
        # libpq takes the last one; a host for each server is what SQLAlchemy documents.
        several = name in {"host", "port"} and name in query
        query[name] = f"{query[name]},{value}" if several else value
    return {name: value for name, value in query.items() if value}


def _check_known(name: str, value: str) -> None:
    if name in _READ_HERE or name in _PASSED_ON:
        return
    if name in _AS_IT_IS:
        if value not in _AS_IT_IS[name]:
            allowed = " or ".join(_AS_IT_IS[name])
            raise ValueError(f"has {name}={value}, which is not supported: only {allowed}")
        return
    instead = next((hint for key, hint in _INSTEAD.items() if name.startswith(key)), "")
    hint = f": {instead}" if instead else ""
    raise ValueError(f"has the parameter {name}, which is not supported{hint or '; remove it'}")


def _hosts(text: str, query: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Each host with its port; a parameter counts more than the same part before the `?`."""
    listed = query.get("host") or unquote(text)
    if not listed:
        return _ports_alone(query)
    found = [_host(each) for each in listed.split(",")]
    ports = query["port"].split(",") if "port" in query else []
    if len(ports) not in {0, 1, len(found)}:
        raise ValueError(f"has {len(ports)} values in port for {len(found)} hosts")
    given = ports * len(found) if len(ports) == 1 else ports or [port for _, port in found]
    return tuple((host, _port(port)) for (host, _), port in zip(found, given, strict=True))


def _ports_alone(query: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    return (("localhost", _port(query["port"])),) if "port" in query else ()


def _host(text: str) -> tuple[str, str]:
    if text.startswith("/"):
        return text, ""
    if text.count(":") > 1 and not text.startswith("["):
        return text, ""  # an IPv6 address, which needs no brackets as a parameter
    found = _HOST.fullmatch(text)
    if found is None:
        raise ValueError(f"has the host {text!r}: write HOST:PORT, or [ADDRESS]:PORT for IPv6")
    return found["v6"] or found["name"] or "localhost", found["port"] or ""


def _port(text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= LAST_PORT:
        raise ValueError(f"has the port {text!r}: a port is a number from 1 to {LAST_PORT}")
    return int(text)


def _target(query: Mapping[str, str], *, several: bool) -> str:
    target = query.get("target_session_attrs", "primary" if several else "any")
    return _one_of("target_session_attrs", target, _TARGETS)


def _connect_timeout(query: Mapping[str, str], hosts: int) -> float:
    given = query.get("connect_timeout")
    if given is None:
        return CONNECT_TIMEOUT_S / max(1, hosts)
    if not _SECONDS.fullmatch(given) or not 1 <= int(given) <= LONGEST_CONNECT_S:
        raise ValueError(f"has connect_timeout={given}: it is 1 to {LONGEST_CONNECT_S} seconds")
    return float(given)


def _options(text: str) -> dict[str, str]:
    """The settings of `-c name=value` and `--name=value`; a backslash keeps a space in a value."""
    settings: dict[str, str] = {}
    words = iter(_WORD.findall(text))
    for word in words:
        joined = f"-c{next(words, '')}" if word == "-c" else word
        found = _OPTION.fullmatch(joined)
        if found is None:
            raise ValueError(f"has {joined!r} in options: only -cNAME=VALUE is supported")
        name = found["name"].replace("-", "_").lower()
        if name in HOT:
            raise ValueError(f"has {name} in options, which Windlass sets itself: remove it")
        settings[name] = _ESCAPED.sub(r"\1", found["value"])
    return settings


def _for_asyncpg(query: Mapping[str, str]) -> dict[str, str]:
    more = {name: value for name, value in query.items() if name in _PASSED_ON}
    _one_of("sslmode", more.get("sslmode", "prefer"), _SSL_MODES)
    _one_of("sslnegotiation", more.get("sslnegotiation", "postgres"), ("postgres", "direct"))
    for name in _FILES:
        path = more.get(name)
        if path and path != _SYSTEM and not Path(path).is_file():
            raise ValueError(f"has {name}={path}: there is no such file")
    if more.get("sslrootcert") == _SYSTEM and more.get("sslmode", "verify-full") != "verify-full":
        raise ValueError("has sslrootcert=system: it needs sslmode=verify-full")
    return more


def _system_context(more: Mapping[str, str]) -> ssl.SSLContext:
    """TLS that trusts what the operating system trusts, which asyncpg has no word for."""
    context = ssl.create_default_context()
    if certificate := more.get("sslcert"):
        context.load_cert_chain(certificate, more.get("sslkey"), more.get("sslpassword", ""))
    return context


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(
            f"has {name}={value}: it must be {', '.join(allowed[:-1])} or {allowed[-1]}"
        )
    return value


def _text(part: str | None) -> str | None:
    return unquote(part) if part else None
