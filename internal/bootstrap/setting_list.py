"""Every environment variable: its default, what is allowed, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

from internal.bootstrap import values
from internal.domain.retry import Strategy

PREFIX: Final = "WINDLASS_"


class LogFormat(StrEnum):
    """How log lines are written; auto is text on a terminal, else json."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"


class Setting(msgspec.Struct, frozen=True):
    """One environment variable.

    `default` is written as an operator would write it; `hide` makes of a bad value what an error
    message may show of it.
    """

    name: str
    default: str
    read: Callable[[str], Any]
    meaning: str
    hide: Callable[[str], str] = values.text

    @property
    def field(self) -> str:
        """Its name in Settings."""
        return self.name.removeprefix(PREFIX).lower()


SETTINGS: Final = (
    Setting(
        "DATABASE_URL",
        "",
        values.optional(values.database_url),
        "a PostgreSQL 15 or newer; without it, an embedded server in the data directory is used",
        values.hide_credentials,
    ),
    Setting(
        "WINDLASS_LISTEN_URL",
        "",
        values.optional(values.database_url),
        "a direct connection to the same database, where `DATABASE_URL` leads through a pooler",
        values.hide_credentials,
    ),
    Setting(
        "WINDLASS_API_CONNECTIONS",
        "10",
        values.integer(2, 1_000),
        "connections of one API process to the database at most; one more listens for wake-ups",
    ),
    Setting(
        "WINDLASS_WORKER_CONNECTIONS",
        "6",
        values.integer(4, 1_000),
        "connections of one worker process to the database at most; two more are for its "
        "wake-ups and its heartbeat",
    ),
    Setting("HOST", "127.0.0.1", values.text, "the address that the API listens on"),
    Setting("PORT", "8080", values.integer(1, 65_535), "the port that the API listens on"),
    Setting(
        "WINDLASS_DATA_DIR",
        ".windlass",
        values.path,
        "the folder of the embedded server and its secret",
    ),
    Setting(
        "WINDLASS_JWT_SECRET",
        "",
        values.optional(values.secret),
        "signs tokens, at least 32 bytes; required with `DATABASE_URL`, else made and kept by us",
        lambda _: "***",
    ),
    Setting(
        "WINDLASS_ACCESS_TOKEN_TTL",
        "15m",
        values.duration("1s", "7d"),
        "how long an access token lives",
    ),
    Setting(
        "WINDLASS_REFRESH_TOKEN_TTL",
        "30d",
        values.duration("1s", "365d"),
        "how long a session lives without being used",
    ),
    Setting(
        "WINDLASS_REFRESH_REUSE_GRACE",
        "10s",
        values.duration("0s", "5m"),
        "how long the refresh token just replaced gives the same successor again",
    ),
    Setting(
        "WINDLASS_ADMIN_EMAIL",
        "",
        values.text,
        "who becomes an admin by signing up; on the embedded server only",
    ),
    Setting(
        "WINDLASS_LOGIN_RATE",
        "10",
        values.integer(1, 1_000_000),
        "failed logins a minute for one email from one address",
    ),
    Setting(
        "WINDLASS_API_RATE",
        "0",
        values.integer(0, 1_000_000),
        "requests a second of one user to each API process, twice as many at once; 0 is no limit",
    ),
    Setting(
        "WINDLASS_WORKER_PROCESSES",
        "1",
        values.integer(1, 256),
        "worker processes that `windlass serve` or `windlass worker` runs",
    ),
    Setting(
        "WINDLASS_WORKER_CONCURRENCY",
        "100",
        values.integer(1, 10_000),
        "jobs that one worker process runs at a time (its slots)",
    ),
    Setting(
        "WINDLASS_WORKER_RESERVE",
        "0.1",
        values.share,
        "the share of the slots kept for users who run less than their fair share",
    ),
    Setting(
        "WINDLASS_LEASE_TTL",
        "30s",
        values.duration("1s", "1h"),
        "how long after a worker's last sign of life its jobs are lost",
    ),
    Setting(
        "WINDLASS_SHUTDOWN_GRACE",
        "30s",
        values.duration("0s", "1h"),
        "how long a stop waits for running jobs",
    ),
    Setting(
        "WINDLASS_DRAIN",
        "1s",
        values.duration("0s", "5m"),
        "how long a stopping API says on `/ready` that it stops, and still serves",
    ),
    Setting(
        "WINDLASS_JOB_TIMEOUT", "15m", values.duration("1ms", "24h"), "how long an attempt may run"
    ),
    Setting(
        "WINDLASS_MAX_ATTEMPTS",
        "3",
        values.integer(1, 100),
        "how often a job is tried, the first time counted",
    ),
    Setting(
        "WINDLASS_RETRY_STRATEGY",
        "exponential",
        values.choice(Strategy),
        "how the delay grows between attempts: `exponential` or `fixed`",
    ),
    Setting(
        "WINDLASS_RETRY_BASE_DELAY",
        "2s",
        values.duration("1ms", "30d"),
        "the delay after the first failure",
    ),
    Setting("WINDLASS_RETRY_MAX_DELAY", "60s", values.duration("1ms", "30d"), "the longest delay"),
    Setting(
        "WINDLASS_AGING",
        "60s",
        values.duration("0s", "30d"),
        "the head start of each priority step over the next lower one",
    ),
    Setting(
        "WINDLASS_MAX_PAYLOAD_BYTES",
        "262144",
        values.integer(2, 16 * 1024 * 1024),
        "the largest payload of a job",
    ),
    Setting(
        "WINDLASS_MAX_WAITING_PER_USER",
        "0",
        values.integer(0, 10**12),
        "unfinished jobs that one user may have when submitting more; 0 is no limit",
    ),
    Setting(
        "WINDLASS_MAX_QUEUES_PER_USER",
        "1000",
        values.integer(0, 10**9),
        "queues that one user may have; 0 is no limit",
    ),
    Setting(
        "WINDLASS_RETENTION",
        "7d",
        values.duration("1h", "3650d"),
        "how long finished jobs are kept at least",
    ),
    Setting(
        "WINDLASS_RETENTION_FAILED",
        "30d",
        values.duration("1h", "3650d"),
        "how long failed jobs are kept at least",
    ),
    Setting(
        "WINDLASS_HANDLERS",
        "",
        values.modules,
        "Python modules with handlers to import, separated by commas",
    ),
    Setting(
        "WINDLASS_HTTP_JOB_ALLOW",
        "",
        values.networks,
        "private networks that `http` jobs may reach, like `10.0.0.0/8`, separated by commas",
    ),
    Setting(
        "WINDLASS_LOG_FORMAT",
        "auto",
        values.choice(LogFormat),
        "`text`, `json`, or `auto`: text on a terminal, else json",
    ),
)
