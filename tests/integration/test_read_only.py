"""A server that takes no writes for a while costs no restart, and clients hear of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from internal.domain.errors import UnavailableError
from tests.support.api import PASSWORD, Api, SignedUp, running_api
from tests.support.conditions import eventually
from tests.support.postgres import on_every_postgres
from tests.support.store import Store, open_store

_CUT = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"


class Switch:
    """What an operator does to stop all writing, and to allow it again."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def turn(self, *, read_only: bool, cut: bool = False) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.execute("set default_transaction_read_only = off")
        name = await connection.fetchval("select current_database()")
        value = "on" if read_only else "off"
        await connection.execute(
            f"alter database {name} set default_transaction_read_only = {value}"
        )
        if cut:
            await connection.execute(f"{_CUT} and datname = current_database()")
        await connection.close()


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with running_api(database_url) as running:
        yield running


async def _writes(api: Api, user: SignedUp, number: int) -> list[int]:
    """A write over each pool."""
    credentials = {"email": f"{number}-{time.monotonic()}@example.com", "password": PASSWORD}
    return [
        (await user.client.post("/v1/jobs", json={"type": "mock"})).status_code,
        (await api.client().post("/v1/signup", json=credentials)).status_code,
    ]


@on_every_postgres
async def test_the_first_writes_after_a_read_only_spell_succeed(
    api: Api, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    user, switch = await api.a_user(), Switch(database_url)
    await switch.turn(read_only=True, cut=True)

    async def is_refused() -> bool:
        return await _writes(api, user, 0) == [503, 503]

    await eventually(is_refused)
    refused = await user.client.post("/v1/jobs", json={"type": "mock"})
    ready = await user.client.get("/ready")
    assert (await user.client.get("/v1/jobs")).status_code == 200
    # Every connection of both pools is one that was made in the spell.
    await asyncio.gather(*(user.client.get("/v1/jobs") for _ in range(20)))
    await asyncio.gather(*(user.client.get("/v1/stats") for _ in range(20)))

    await switch.turn(read_only=False)
    began = time.monotonic()

    async def all_succeed() -> bool:
        return {code for number in range(6) for code in await _writes(api, user, number)} == {201}

    await eventually(all_succeed)
    assert time.monotonic() - began < 20
    assert (await user.client.get("/ready")).status_code == 200
    for answer in (refused, ready):
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "The database is not accepting writes now" in answer.json()["error"]["message"]
    assert "it is read-only" in ready.json()["error"]["message"]
    reasons = [record.__dict__.get("reason", "") for record in caplog.records]
    assert any(reason.startswith("ReadOnlySQLTransactionError 25006: ") for reason in reasons)


async def test_one_refused_write_costs_all_connections_of_that_time(
    store: Store, database_url: str
) -> None:
    actor = await store.a_user()
    switch = Switch(database_url)
    await switch.turn(read_only=True, cut=True)
    with pytest.raises(UnavailableError):
        await store.database.check()
    await asyncio.sleep(1.1)  # the pools are made anew once a second at most
    # Ten connections from the spell.
    await asyncio.gather(*(store.reads.attempts(actor, actor.user_id, 20) for _ in range(50)))
    await switch.turn(read_only=False)

    ends: list[object] = []
    for _ in range(12):
        try:
            ends.append(await store.submit(actor))
        except UnavailableError as error:
            ends.append(error)
    assert len([end for end in ends if isinstance(end, UnavailableError)]) <= 1


async def test_a_connection_that_an_administrator_ended_costs_one_statement(
    database_url: str,
) -> None:
    async with open_store(database_url, size=3) as store:
        actor = await store.a_user()
        await asyncio.gather(*(store.submit(actor, queue=f"q{n}") for n in range(3)))
        connection = await asyncpg.connect(database_url)
        await connection.execute(f"{_CUT} and application_name = 'windlass tests'")
        await connection.close()

        failed = 0
        for _ in range(10):
            try:
                await store.submit(actor)
            except UnavailableError:
                failed += 1
        assert failed <= 1
