"""Every connection means the same whatever the defaults are, and leads where it should."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

from internal.adapters.postgres.connecting import connect
from internal.adapters.postgres.database import open_database
from internal.adapters.postgres.fitness import UnfitError, require_fit, room_left
from internal.adapters.postgres.session_settings import HOT, SERVICE, SESSION
from internal.adapters.postgres.wakeups import PostgresWakeups
from internal.bootstrap.migrations import migrate_up
from internal.domain.errors import UnavailableError
from internal.domain.ports.feed import Topic
from tests.support.postgres import on_every_postgres
from tests.support.serving import free_port
from tests.support.store import open_store
from tests.support.tcp_server import TcpServer, tcp_server

_SETTINGS = "select lower(name), setting from pg_settings where lower(name) = any($1)"
_STRANGE = (
    "default_transaction_isolation = 'serializable'",
    "default_transaction_deferrable = on",
    "timezone = 'Asia/Kathmandu'",
    "statement_timeout = '3s'",
    "idle_session_timeout = '5s'",
    "standard_conforming_strings = off",
    "jit = on",
    "enable_seqscan = on",
    "plan_cache_mode = 'force_custom_plan'",
)


@pytest.fixture
async def strange_url(database_url: str) -> str:
    """A database whose defaults are other than usual."""
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("select current_database()")
    for setting in _STRANGE:
        await connection.execute(f"alter database {name} set {setting}")
    await connection.close()
    return database_url


@on_every_postgres
@pytest.mark.parametrize("settings", [SESSION, SERVICE, HOT], ids=["session", "service", "hot"])
async def test_a_connection_has_our_settings_whatever_the_defaults_are(
    strange_url: str, settings: dict[str, str]
) -> None:
    connection = await connect(strange_url, name="a test", settings=settings)

    found = dict(map(tuple, await connection.fetch(_SETTINGS, list(settings))))
    isolation = await connection.fetchval("show transaction_isolation")
    name = await connection.fetchval("show application_name")
    await connection.close()

    assert found == settings
    assert (isolation, name) == ("read committed", "a test")


async def test_both_pools_and_the_listener_work_with_strange_defaults(strange_url: str) -> None:
    database = await open_database(strange_url, name="a test", size=2)
    async with database.hot() as connection:
        hot = await connection.fetchval("show transaction_isolation")
    async with database.begin() as ordinary:
        other = (await ordinary.execute(text("show transaction_isolation"))).scalar_one()
    await database.check()
    await database.close()
    assert (hot, other) == ("read committed", "read committed")

    wakeups, woken = PostgresWakeups(strange_url), asyncio.Event()
    listening = asyncio.create_task(wakeups.run())
    with wakeups.subscribe(woken.set, Topic.READY):
        async with asyncio.timeout(30):
            await woken.wait()
    listening.cancel()


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
async def test_submissions_of_many_succeed_with_every_default_isolation(
    database_url: str, level: str
) -> None:
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("select current_database()")
    await connection.execute(f"alter database {name} set default_transaction_isolation = '{level}'")
    await connection.close()
    async with open_store(database_url) as one, open_store(database_url) as other:
        actors = [await one.a_user() for _ in range(4)]
        kept = await asyncio.gather(
            *(
                store.submit(actor, concurrency_key="k", queue=f"q{number % 3}")
                for number in range(10)
                for actor in actors
                for store in (one, other)
            )
        )
    assert len({each.id for each in kept}) == 80


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
async def test_a_database_of_another_encoding_is_refused(database_url: str, encoding: str) -> None:
    connection = await asyncpg.connect(database_url)
    name = f"{await connection.fetchval('select current_database()')}_{encoding.lower()}"
    made = f"create database {name} encoding '{encoding}' template template0"
    await connection.execute(f"{made} lc_collate 'C' lc_ctype 'C'")
    base = database_url.split("?")
    url = f"{base[0].rpartition('/')[0]}/{name}?{base[1]}"
    try:
        with pytest.raises(UnfitError, match=f"encoding is {encoding}.*needs UTF8"):
            await require_fit(url)
    finally:
        await connection.execute(f"drop database {name} with (force)")
        await connection.close()


@on_every_postgres
async def test_a_usual_database_is_fit(database_url: str) -> None:
    await require_fit(database_url)


async def test_room_is_what_the_server_has_left() -> None:
    async with tcp_server(
        "--max_connections=12", "--superuser_reserved_connections=2", "--autovacuum=off"
    ) as server:
        before = await room_left(server.url())
        taken = [await asyncpg.connect(server.url()) for _ in range(4)]

        assert before == 10
        assert await room_left(server.url()) == 6
        for each in taken:
            await each.close()


async def test_options_and_a_name_in_the_url_reach_the_session(database_url: str) -> None:
    url = f"{database_url}&options=-cwork_mem%3D9MB%20-csearch_path%3Dpublic&application_name=mine"

    connection = await connect(url, name="a test")
    found = [await connection.fetchval(f"show {each}") for each in ("work_mem", "application_name")]
    await connection.close()

    assert found == ["9MB", "mine"]


@asynccontextmanager
async def _serving(url: str) -> AsyncIterator[None]:
    async with open_store(url) as store:
        await store.submit(await store.a_user())
        yield


async def test_a_host_that_is_down_is_passed_over() -> None:
    async with tcp_server() as server:
        await migrate_up(server.url())
        down, up = f"127.0.0.1:{free_port()}", f"127.0.0.1:{server.port}"
        for hosts in (f"{down},{up}", f"{up},{down}"):
            async with _serving(f"postgresql://windlass@{hosts}/postgres"):
                pass
        for query in (f"host={down},{up}", f"host={down}&host={up}"):
            async with _serving(f"postgresql://windlass@/postgres?{query}"):
                pass


async def test_a_host_that_does_not_even_refuse_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        async with tcp_server() as server:
            hosts = f"127.0.0.1:{port},127.0.0.1:{server.port}"
            url = f"postgresql://windlass@{hosts}/postgres?connect_timeout=1"
            database = await open_database(url, name="a test", size=1)
            await database.check()
            await database.close()


async def test_the_log_says_of_each_host_why_it_will_not_do() -> None:
    first, second = free_port(), free_port()
    url = f"postgresql://windlass@127.0.0.1:{first},127.0.0.1:{second}/postgres"
    database = await open_database(url, name="a test", size=1)

    with pytest.raises(UnavailableError) as refused:
        await database.check()
    await database.close()

    assert refused.value.message == "The database is not reachable now: try again shortly"
    assert f"127.0.0.1:{first}: " in refused.value.reason
    assert f"127.0.0.1:{second}: " in refused.value.reason


@pytest.fixture(scope="module")
async def tls_server() -> AsyncIterator[TcpServer]:
    async with tcp_server(certificate=True) as server:
        yield server


@pytest.mark.parametrize(
    ("host", "query", "is_encrypted"),
    [
        ("127.0.0.1", "", True),
        ("127.0.0.1", "?sslmode=disable", False),
        ("127.0.0.1", "?sslmode=prefer", True),
        ("127.0.0.1", "?sslmode=require&channel_binding=prefer", True),
        ("127.0.0.1", "?sslmode=verify-ca&sslrootcert=ROOT", True),
        ("localhost", "?sslmode=verify-full&sslrootcert=ROOT", True),
    ],
)
async def test_tls_is_as_the_url_says(
    tls_server: TcpServer, host: str, query: str, *, is_encrypted: bool
) -> None:
    query = query.replace("ROOT", str(tls_server.folder / "server.crt"))
    url = tls_server.url(query=query).replace("127.0.0.1", host)
    database = await open_database(url, name="a test", size=1)
    asked = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"

    async with database.hot() as connection:
        hot = await connection.fetchval(asked)
    async with database.begin() as ordinary:
        other = (await ordinary.execute(text(asked))).scalar_one()
    await database.close()

    assert (hot, other) == (is_encrypted, is_encrypted)
    await require_fit(url)


@pytest.mark.parametrize(
    ("host", "query"),
    [
        ("127.0.0.1", "?sslmode=verify-full&sslrootcert=ROOT"),  # the name is not this one
        ("localhost", "?sslmode=verify-full&sslrootcert=system"),  # the authority is not known
        ("localhost", "?sslmode=verify-ca&sslrootcert=OTHER"),
    ],
)
async def test_a_server_that_does_not_prove_itself_is_refused(
    tls_server: TcpServer, tmp_path: Path, host: str, query: str
) -> None:
    other = tmp_path / "other.crt"
    async with tcp_server(certificate=True) as stranger:
        other.write_bytes((stranger.folder / "server.crt").read_bytes())
    query = query.replace("ROOT", str(tls_server.folder / "server.crt"))
    url = tls_server.url(query=query.replace("OTHER", str(other))).replace("127.0.0.1", host)

    with pytest.raises(OSError, match="certificate verify failed"):
        await connect(url, name="a test")


async def test_a_server_without_tls_is_refused_where_tls_is_required() -> None:
    async with tcp_server() as server:
        with pytest.raises(ConnectionError, match="rejected SSL upgrade"):
            await connect(server.url(query="?sslmode=require"), name="a test")
