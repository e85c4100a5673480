"""Behind a PgBouncer as Debian ships it: session mode works, transaction mode is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from internal.adapters.postgres.fitness import UnfitError, require_fit, require_notifications
from internal.adapters.postgres.session_settings import HOT
from internal.bootstrap.migrations import migrate_up
from tests.support.conditions import eventually
from tests.support.customer import customer
from tests.support.serving import free_port, refusal, windlass
from tests.support.store import ROUTES, an_end, open_store
from tests.support.tcp_server import TcpServer, pgbouncer, tcp_server

_SECRET = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[TcpServer]:
    async with tcp_server() as running:
        await migrate_up(running.url())
        yield running


async def test_session_mode_keeps_our_settings_and_runs_jobs(server: TcpServer) -> None:
    async with pgbouncer(server, "session") as pooled:
        await require_fit(pooled.url())
        await require_notifications(server.url(), pooled.url())
        async with open_store(pooled.url(), size=4) as store:
            actor, worker = await store.a_user(), await store.a_worker()
            await asyncio.gather(*(store.submit(actor) for _ in range(20)))
            claimed = await store.work.claim(worker, ROUTES, 100)
            assert await store.work.finish([an_end(each) for each in claimed]) == set()
            assert len(claimed) == 20
            async with store.database.hot() as connection:
                for name, value in HOT.items():
                    query = "select setting from pg_settings where lower(name) = $1"
                    assert await connection.fetchval(query, name) == value


async def test_a_whole_windlass_runs_behind_session_mode(server: TcpServer) -> None:
    settings = {"PORT": free_port(), "WINDLASS_JWT_SECRET": _SECRET}
    async with pgbouncer(server, "session") as pooled:
        settings["DATABASE_URL"] = pooled.url()
        settings["WINDLASS_LISTEN_URL"] = server.url()
        async with customer(settings) as ada, windlass("serve", **settings) as serve:
            await serve.says("Windlass is ready")
            await ada.sign_up()
            await ada.submit(100, type="mock", payload={})
            await eventually(lambda: ada.has("succeeded", 100), within_s=60)
            listening = await _listeners(server)
            serve.press_ctrl_c()
            assert await serve.end() == 0
    assert listening == {"windlass api wake-ups", "windlass worker wake-ups"}
    assert "wait for the database" not in serve.output
    assert "wake-ups are down" not in serve.output


async def _listeners(server: TcpServer) -> set[str]:
    """The processes whose connection for wake-ups is there."""
    connection = await asyncpg.connect(server.url())
    rows = await connection.fetch(
        "select application_name as name from pg_stat_activity"
        " where application_name like '% wake-ups'"
    )
    await connection.close()
    return {row["name"] for row in rows}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ignore_startup_parameters": "extra_float_digits,statement_timeout"},
        {"server_round_robin": "1"},
    ],
    ids=["as it comes", "with parameters ignored", "round robin"],
)
async def test_transaction_mode_is_refused(server: TcpServer, settings: dict[str, str]) -> None:
    async with pgbouncer(server, "transaction", **settings) as pooled:
        with pytest.raises(UnfitError, match="a pooler in transaction mode"):
            await require_fit(pooled.url())


async def test_every_command_refuses_transaction_mode_in_one_line(server: TcpServer) -> None:
    async with pgbouncer(server, "transaction") as pooled:
        settings = {"DATABASE_URL": pooled.url(), "WINDLASS_JWT_SECRET": _SECRET}
        for command in (("serve",), ("api",), ("worker",), ("migrate", "up")):
            message = await refusal(*command, **settings, PORT=free_port())
            assert "a pooler in transaction mode stands before the database" in message
            assert "session mode" in message


async def test_notifications_do_not_come_through_transaction_mode(server: TcpServer) -> None:
    async with pgbouncer(server, "transaction") as pooled:
        with pytest.raises(UnfitError, match="set it to a direct connection"):
            await require_notifications(server.url(), pooled.url())


async def test_a_listener_elsewhere_hears_nothing_and_is_refused(server: TcpServer) -> None:
    with pytest.raises(UnfitError, match="to the same database"):
        await require_notifications(server.url(), server.url("template1"))
