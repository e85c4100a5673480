from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from internal.bootstrap import values
from internal.bootstrap.errors import StartError
from internal.bootstrap.setting_list import PREFIX, SETTINGS, LogFormat, Setting
from internal.domain.retry import Strategy


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator can set, in SETTINGS' words.

    `database_url` and `jwt_secret` are empty where the embedded server is to be used; `located`
    in `database.py` fills them in, and `listen_url` where it is not set.
    """

    database_url: str
    listen_url: str
    api_connections: int
    worker_connections: int
    host: str
    port: int
    data_dir: Path
    jwt_secret: str
    access_token_ttl: timedelta
    refresh_token_ttl: timedelta
    refresh_reuse_grace: timedelta
    admin_email: str
    login_rate: int
    api_rate: int
    worker_processes: int
    worker_concurrency: int
    worker_reserve: float
    lease_ttl: timedelta
    shutdown_grace: timedelta
    drain: timedelta
    job_timeout: timedelta
    max_attempts: int
    retry_strategy: Strategy
    retry_base_delay: timedelta
    retry_max_delay: timedelta
    aging: timedelta
    max_payload_bytes: int
    max_waiting_per_user: int
    max_queues_per_user: int
    retention: timedelta
    retention_failed: timedelta
    handlers: tuple[str, ...]
    http_job_allow: tuple[values.Network, ...]
    log_format: LogFormat

    def __repr__(self) -> str:
        return "Settings(...)"  # they hold secrets


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read every setting; a variable that is empty counts as not set.

    Raises:
        StartError: for the first bad value, naming the variable, the value and what is allowed.
    """
    settings = Settings(**{each.field: _read(each, environment) for each in SETTINGS})
    if settings.retry_max_delay < settings.retry_base_delay:
        raise StartError(
            "WINDLASS_RETRY_MAX_DELAY is below WINDLASS_RETRY_BASE_DELAY: it must be at least that"
        )
    if settings.database_url:
        return msgspec.structs.replace(settings, admin_email="")
    return settings


def logs_json(settings: Settings) -> bool:
    """Whether log lines are for machines: `auto` looks where standard error goes."""
    if settings.log_format is LogFormat.AUTO:
        return not sys.stderr.isatty()
    return settings.log_format is LogFormat.JSON


def wants_json(environment: Mapping[str, str]) -> bool:
    """As `logs_json`, before the settings are read or when they cannot be."""
    wanted = environment.get(f"{PREFIX}LOG_FORMAT", "").strip()
    return not sys.stderr.isatty() if wanted in ("", LogFormat.AUTO) else wanted == LogFormat.JSON


def doubts(environment: Mapping[str, str]) -> list[str]:
    """What is probably a mistake though no value is wrong, a line each."""
    known = [each.name for each in SETTINGS]
    lines = []
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            bare = name.removeprefix(PREFIX)
            near = [bare] if bare in known else difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            lines.append(f"there is no setting {name}: it is ignored{hint}")
    if environment.get("DATABASE_URL") and environment.get("WINDLASS_ADMIN_EMAIL"):
        lines.append(
            "WINDLASS_ADMIN_EMAIL works on the embedded server only: it is ignored, "
            "use 'windlass admin grant EMAIL'"
        )
    return lines


def settings_table() -> str:
    """The settings in Markdown, for the README."""
    head = ["| variable | default | meaning |", "| --- | --- | --- |"]
    rows = [
        f"| `{each.name}` | {f'`{each.default}`' if each.default else ''} | {each.meaning} |"
        for each in SETTINGS
    ]
    return "\n".join(head + rows)


def _read(setting: Setting, environment: Mapping[str, str]) -> Any:
    value = environment.get(setting.name, "").strip() or setting.default
    try:
        return setting.read(value)
    except ValueError as error:
        raise StartError(f"{setting.name}={setting.hide(value)!r} {error}") from error
