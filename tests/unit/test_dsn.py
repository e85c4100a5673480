"""A database's URL means what libpq says it means, or is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from internal.adapters.postgres.dsn import Dsn, read_dsn

_TWO = (("h1", 5501), ("h2", 5502))


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://h/db", (("h", 5432),)),
        ("postgres://h:5433/db", (("h", 5433),)),
        ("postgresql://h1:5501,h2:5502/db", _TWO),
        ("postgresql:///db?host=h1,h2&port=5501,5502", _TWO),
        ("postgresql:///db?host=h1:5501&host=h2:5502", _TWO),
        ("postgresql:///db?host=h1:5501,h2:5502", _TWO),
        ("postgresql://h1,h2/db?port=5501,5502", _TWO),
        ("postgresql://h1,h2:5433/db", (("h1", 5432), ("h2", 5433))),
        ("postgresql://h1,h2/db?port=5433", (("h1", 5433), ("h2", 5433))),
        ("postgresql://ignored/db?host=h&port=5433", (("h", 5433),)),
        ("postgresql://[::1]:5433/db", (("::1", 5433),)),
        ("postgresql:///db?host=::1&port=5433", (("::1", 5433),)),
        ("postgresql:///db?host=%2Frun%2Fpostgresql", (("/run/postgresql", 5432),)),
        ("postgresql://%2Frun%2Fpostgresql/db", (("/run/postgresql", 5432),)),
        ("postgresql:///db", ()),
    ],
)
def test_hosts_are_read_in_every_spelling(url: str, hosts: tuple[tuple[str, int], ...]) -> None:
    assert read_dsn(url).hosts == hosts


@pytest.mark.parametrize(
    ("url", "user", "password", "database"),
    [
        ("postgresql://ada:secret@h/jobs", "ada", "secret", "jobs"),
        ("postgresql://ada:p%40s%2Fs%23w%25@h/jobs", "ada", "p@s/s#w%", "jobs"),
        ("postgresql://ada:p#s?s+w@h/jobs", "ada", "p#s?s+w", "jobs"),
        ("postgresql://h/?user=ada&password=s+t&dbname=jobs", "ada", "s+t", "jobs"),
        ("postgresql://ada@h", "ada", None, None),
        ("postgresql://h/my%20jobs", None, None, "my jobs"),
    ],
)
def test_names_and_passwords_are_unquoted(
    url: str, user: str | None, password: str | None, database: str | None
) -> None:
    dsn = read_dsn(url)

    assert (dsn.user, dsn.password, dsn.database) == (user, password, database)


def test_options_are_settings_in_both_spellings() -> None:
    url = (
        "postgresql://h/db?options=-csearch_path%3Dours%20-c%20work-mem%3D64MB%20"
        "--geqo%3Doff%20-cDateStyle%3DISO%2C%5C%20MDY"
    )

    assert read_dsn(url).settings == {
        "search_path": "ours",
        "work_mem": "64MB",
        "geqo": "off",
        "datestyle": "ISO, MDY",
    }


def test_time_to_connect_is_shared_by_the_hosts_unless_it_is_given_for_each() -> None:
    assert read_dsn("postgresql://h/db").connect_timeout_s == 5
    assert read_dsn("postgresql://h1,h2/db").connect_timeout_s == 2.5
    assert read_dsn("postgresql://h1,h2/db?connect_timeout=4").connect_timeout_s == 4


def test_of_several_hosts_the_primary_is_wanted() -> None:
    assert read_dsn("postgresql://h/db").target == "any"
    assert read_dsn("postgresql://h1,h2/db").target == "primary"
    assert read_dsn("postgresql://h1,h2/db?target_session_attrs=any").target == "any"
    assert read_dsn("postgresql://h/db?target_session_attrs=read-write").target == "read-write"


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=prefer",
        "sslmode=verify-full&ssl_min_protocol_version=TLSv1.2",
        "application_name=x",
        "fallback_application_name=x",
        "channel_binding=prefer",
        "gssencmode=disable",
        "passfile=/nowhere",
        "client_encoding=utf8",
        "krbsrvname=postgres",
        "load_balance_hosts=disable",
        "sslcompression=0",
        "sslsni=1",
        "sslmode=verify-full&sslrootcert=system",
        "",
    ],
)
def test_parameters_that_managed_databases_hand_out_are_taken(query: str) -> None:
    assert isinstance(read_dsn(f"postgresql://h/db?{query}"), Dsn)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("sslmode=wrong", "sslmode=wrong"),
        ("channel_binding=require", "channel_binding=require"),
        ("gssencmode=require", "gssencmode=require"),
        ("keepalives=1", "keepalives"),
        ("keepalives_idle=30", "keepalives_idle"),
        ("connect_timeout=0", "connect_timeout=0"),
        ("connect_timeout=soon", "connect_timeout=soon"),
        ("target_session_attrs=standby", "target_session_attrs=standby"),
        ("sslrootcert=/nowhere", "sslrootcert=/nowhere"),
        ("sslcert=/nowhere", "sslcert=/nowhere"),
        ("sslkey=/nowhere", "sslkey=/nowhere"),
        ("sslmode=require&sslrootcert=system", "sslrootcert=system"),
        ("options=-csearch_path", "options"),
        ("options=-cstatement_timeout%3D1s", "statement_timeout"),
        ("options=-cTimeZone%3DEurope/Berlin", "timezone"),
        ("prepared_statement_cache_size=0", "prepared_statement_cache_size"),
        ("ssl=require", "sslmode"),
        ("schema=ours", "options=-csearch_path"),
        ("replication=database", "replication"),
        ("port=70000", "70000"),
        ("host=a,b&port=1,2,3", "port"),
        ("client_encoding=LATIN1", "client_encoding=LATIN1"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(query: str, named: str) -> None:
    with pytest.raises(ValueError, match=r"has|must") as refused:
        read_dsn(f"postgresql://ada:hunter2@h/db?{query}")

    assert named in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["postgresql://ada:hun@ter2@h/db", "postgresql://ada:hun/ter2@h/db", "mysql://h/db"]
)
def test_a_url_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"has|must") as refused:
        read_dsn(url)

    assert "hun" not in str(refused.value)
    assert "ter2" not in str(refused.value)


def test_files_that_exist_are_passed_on(tmp_path: Path) -> None:
    root = tmp_path / "root.crt"
    root.touch()

    assert read_dsn(f"postgresql://h/db?sslrootcert={root}").more == {"sslrootcert": str(root)}
