from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from internal.bootstrap.errors import StartError
from internal.bootstrap.setting_list import SETTINGS, LogFormat
from internal.bootstrap.settings import Settings, doubts, read_settings, settings_table
from internal.bootstrap.values import hide_credentials
from internal.domain.retry import Strategy

_README = Path(__file__).parents[2] / "README.md"


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = read_settings({})

    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.data_dir == Path(".windlass")
    assert settings.database_url == settings.jwt_secret == settings.admin_email == ""
    assert settings.access_token_ttl == timedelta(minutes=15)
    assert settings.refresh_token_ttl == timedelta(days=30)
    assert settings.refresh_reuse_grace == timedelta(seconds=10)
    assert settings.retry_strategy is Strategy.EXPONENTIAL
    assert settings.retry_base_delay == timedelta(seconds=2)
    assert settings.retry_max_delay == timedelta(seconds=60)
    assert (settings.max_attempts, settings.max_payload_bytes) == (3, 256 * 1024)
    assert (settings.worker_concurrency, settings.worker_processes) == (100, 1)
    assert settings.worker_reserve == 0.1
    assert settings.lease_ttl == settings.shutdown_grace == timedelta(seconds=30)
    assert settings.job_timeout == timedelta(minutes=15)
    assert settings.aging == timedelta(seconds=60)
    assert settings.retention == timedelta(days=7)
    assert settings.retention_failed == timedelta(days=30)
    assert (settings.login_rate, settings.api_rate, settings.max_waiting_per_user) == (10, 0, 0)
    assert settings.handlers == settings.http_job_allow == ()
    assert settings.log_format is LogFormat.AUTO


def test_every_setting_has_its_field_and_type() -> None:
    settings = read_settings({})

    assert [each.field for each in SETTINGS] == list(Settings.__struct_fields__)
    types = {name: getattr(of, "__origin__", of) for name, of in get_type_hints(Settings).items()}
    for name, value in msgspec.structs.asdict(settings).items():
        assert isinstance(value, types[name]), name


def test_every_setting_is_read_from_its_variable() -> None:
    environment = {
        "DATABASE_URL": "postgres://ada@db.example/jobs",
        "PORT": "9000",
        "WINDLASS_LEASE_TTL": "90s",
        "WINDLASS_WORKER_RESERVE": "0.25",
        "WINDLASS_RETRY_STRATEGY": "fixed",
        "WINDLASS_HANDLERS": "shop.jobs, shop.mail",
        "WINDLASS_HTTP_JOB_ALLOW": "10.0.0.0/8,fd00::/8",
        "WINDLASS_LOG_FORMAT": "json",
        "WINDLASS_DATA_DIR": "~/windlass",
    }

    settings = read_settings(environment)

    assert settings.database_url == "postgresql://ada@db.example/jobs"
    assert settings.port == 9000
    assert settings.lease_ttl == timedelta(seconds=90)
    assert settings.worker_reserve == 0.25
    assert settings.retry_strategy is Strategy.FIXED
    assert settings.handlers == ("shop.jobs", "shop.mail")
    assert settings.http_job_allow == (
        ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("fd00::/8"),
    )
    assert settings.log_format is LogFormat.JSON
    assert settings.data_dir == Path.home() / "windlass"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_each_way_to_write_a_database_url_is_taken(scheme: str) -> None:
    settings = read_settings({"DATABASE_URL": f"{scheme}://ada:pw@db:5432/jobs?sslmode=require"})

    assert settings.database_url == "postgresql://ada:pw@db:5432/jobs?sslmode=require"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read_settings({"PORT": "", "DATABASE_URL": " "}) == read_settings({})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("PORT", "http", "a whole number from 1 to 65,535"),
        ("PORT", "65536", "a whole number from 1 to 65,535"),
        ("PORT", "1_000", "a whole number"),
        ("WINDLASS_LEASE_TTL", "30", "500ms, 30s, 15m, 24h or 7d"),
        ("WINDLASS_LEASE_TTL", "0s", "a duration from 1s to 1h"),
        ("WINDLASS_WORKER_RESERVE", "1", "a share from 0 to below 1"),
        ("WINDLASS_RETRY_STRATEGY", "linear", "exponential or fixed"),
        ("WINDLASS_LOG_FORMAT", "xml", "auto or text or json"),
        ("WINDLASS_HANDLERS", "shop/jobs.py", "names of Python modules"),
        ("WINDLASS_HTTP_JOB_ALLOW", "10.0.0.1/8", "networks like 10.0.0.0/8"),
        ("DATABASE_URL", "mysql://db/jobs", "postgresql://user:password@host:5432/database"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_it(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(StartError) as raised:
        read_settings({name: value})

    message = str(raised.value)
    assert message.startswith(f"{name}='{value}' must be ")
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "environment",
    [
        {"WINDLASS_JWT_SECRET": "hunter2"},
        {"DATABASE_URL": "mysql://ada:hunter2@db/jobs"},
        {"DATABASE_URL": "postgresql:ada:p@hunter2@db"},
        {"DATABASE_URL": "mysql://db/jobs?user=ada&password=hunter2"},
    ],
)
def test_a_refusal_shows_no_secret(environment: dict[str, str]) -> None:
    with pytest.raises(StartError) as raised:
        read_settings(environment)

    assert "hunter2" not in str(raised.value)


def test_the_settings_show_no_secret() -> None:
    assert "swordfish" not in repr(read_settings({"WINDLASS_JWT_SECRET": "swordfish" * 4}))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:pw@db:5432/jobs", "postgresql://***@db:5432/jobs"),
        ("postgresql://db/jobs?password=pw&user=ada", "postgresql://db/jobs?password=***&user=ada"),
        ("postgresql://db/jobs", "postgresql://db/jobs"),
    ],
)
def test_a_shown_url_still_says_where_it_leads(url: str, shown: str) -> None:
    assert hide_credentials(url) == shown


def test_the_longest_retry_delay_is_not_below_the_first() -> None:
    with pytest.raises(StartError, match="WINDLASS_RETRY_MAX_DELAY"):
        read_settings({"WINDLASS_RETRY_BASE_DELAY": "5m"})


def test_the_admin_email_is_for_the_embedded_server_only() -> None:
    environment = {"WINDLASS_ADMIN_EMAIL": "ada@example.com"}
    assert read_settings(environment).admin_email == "ada@example.com"

    environment["DATABASE_URL"] = "postgresql://db/jobs"
    assert read_settings(environment).admin_email == ""
    assert ["WINDLASS_ADMIN_EMAIL" in line for line in doubts(environment)] == [True]


def test_a_misspelt_variable_is_told_with_the_nearest_name() -> None:
    assert doubts({"WINDLASS_LEASE_TIL": "5s", "WINDLASS_PORT": "80", "PATH": "/bin"}) == [
        "there is no setting WINDLASS_LEASE_TIL: it is ignored; did you mean WINDLASS_LEASE_TTL?",
        "there is no setting WINDLASS_PORT: it is ignored; did you mean PORT?",
    ]


def test_the_readme_has_the_settings_as_they_are() -> None:
    assert settings_table() in _README.read_text(), f"the README needs:\n{settings_table()}"
