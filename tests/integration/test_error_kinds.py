"""What the database refuses is told apart: away, too slow, others in the way, or our own fault."""

from __future__ import annotations

import asyncio
import traceback

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from internal.adapters.postgres.contention import again
from internal.adapters.postgres.database import open_database
from internal.adapters.postgres.faults import refusal_of
from internal.adapters.postgres.statements import statement
from internal.domain.errors import ContentionError, TimedOutError, UnavailableError
from tests.support.api import Api
from tests.support.store import Store, a_job
from tests.support.tcp_server import tcp_server


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError("refused"), UnavailableError),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), UnavailableError),
        (asyncpg.DiskFullError("No space left on device"), UnavailableError),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), UnavailableError),
        (asyncpg.AdminShutdownError("terminating connection"), UnavailableError),
        (asyncpg.CannotConnectNowError("starting up"), UnavailableError),
        (asyncpg.InvalidPasswordError("it was changed"), UnavailableError),
        (asyncpg.ProtocolViolationError("no more connections allowed"), UnavailableError),
        (asyncpg.InternalClientError("cut"), UnavailableError),
        (asyncpg.QueryCanceledError("statement timeout"), TimedOutError),
        (TimeoutError(), TimedOutError),
        (asyncpg.DeadlockDetectedError("deadlock"), ContentionError),
        (asyncpg.SerializationError("could not serialize"), ContentionError),
        (asyncpg.LockNotAvailableError("lock timeout"), ContentionError),
        (asyncpg.InterfaceError("the server expects 3 arguments"), None),
        (asyncpg.UndefinedColumnError("no such column"), None),
        (asyncpg.InsufficientPrivilegeError("permission denied"), None),
        (asyncpg.InvalidTextRepresentationError("not a number"), None),
        (asyncpg.UniqueViolationError("twice"), None),
        (asyncpg.InternalServerError("a bug"), None),
        (ValueError("ours"), None),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_errors_are_told_apart(error: Exception, kind: type[Exception] | None) -> None:
    refusal = refusal_of(error)

    assert (None if refusal is None else type(refusal)) == kind
    if refusal is not None:
        assert refusal.__cause__ is error
        assert refusal.reason.startswith(type(error).__name__)
        assert int(refusal.retry_after or 0) >= 1


def test_a_misuse_of_a_connection_that_has_ended_is_no_misuse() -> None:
    error = asyncpg.InterfaceError("the connection is closed")

    assert isinstance(refusal_of(error, is_closed=True), UnavailableError)


def test_clients_hear_what_kind_of_trouble_it_is() -> None:
    full = refusal_of(asyncpg.DiskFullError("No space left on device"))
    stopped = refusal_of(asyncpg.ReadOnlySQLTransactionError("read-only"))

    assert full is not None
    assert "has no room" in full.message
    assert full.reason == "DiskFullError 53100: No space left on device"
    assert stopped is not None
    assert "not accepting writes" in stopped.message


async def test_a_statement_that_takes_too_long_is_not_a_database_that_is_away(
    store: Store,
) -> None:
    patience = "set local statement_timeout = 20"

    async def sleep_hot() -> None:
        async with store.database.hot() as connection, connection.transaction():
            await connection.execute(patience)
            await connection.execute("select pg_sleep(60)")

    async def sleep_ordinarily() -> None:
        async with store.database.begin() as ordinary:
            await ordinary.execute(text(patience))
            await ordinary.execute(text("select pg_sleep(60)"))

    for sleep in (sleep_hot, sleep_ordinarily):
        with pytest.raises(TimedOutError) as refused:
            await sleep()
        assert refused.value.reason.startswith("QueryCanceledError 57014: canceling statement")


async def test_our_own_faults_name_their_statement(store: Store) -> None:
    with pytest.raises(asyncpg.InterfaceError) as named:
        async with store.database.hot() as connection:
            await connection.fetch(statement("claim"), "too few")
    with pytest.raises(asyncpg.UndefinedTableError) as inline:
        async with store.database.hot() as connection:
            await connection.execute("select  1\n from nowhere")
    with pytest.raises(DBAPIError):
        async with store.database.begin() as ordinary:
            await ordinary.execute(text("select 1 from nowhere"))

    assert "statement: claim" in "".join(traceback.format_exception(named.value))
    assert "statement: select 1 from nowhere" in "".join(traceback.format_exception(inline.value))


async def test_contention_is_tried_again_and_not_for_ever() -> None:
    tried: list[int] = []

    async def never() -> None:
        tried.append(len(tried))
        raise ContentionError

    with pytest.raises(ContentionError):
        await again(never)
    assert len(tried) == 4


async def test_background_work_waits_for_its_turn_and_leaves_the_rest(store: Store) -> None:
    database = store.database.in_turns(1)
    async with database.hot():
        waiting = asyncio.create_task(database.check())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        async with store.database.hot() as other:  # those that take no turns have the rest
            assert await other.fetchval("select 1") == 1
    await waiting


async def test_too_many_connections_say_so() -> None:
    async with tcp_server("--max_connections=8", "--superuser_reserved_connections=0") as server:
        taken = [await asyncpg.connect(server.url()) for _ in range(7)]
        database = await open_database(server.url(), name="a test", size=2)
        async with database.hot():
            with pytest.raises(UnavailableError) as refused:
                async with database.hot():
                    pass
        await database.close()
        for each in taken:
            await each.close()

    assert "too many clients already" in refused.value.reason


async def test_a_request_that_is_refused_leaves_its_reason_in_the_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    user = await api.a_user()
    actor_lock = "select from tenant for update"
    async with api.store.database.hot() as connection, connection.transaction():
        await connection.execute(actor_lock)
        await connection.execute("lock table queue in access exclusive mode")
        changing = asyncio.create_task(user.client.put("/v1/queues/q", json={"max_running": 1}))
        answer = await changing

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    lines = [each for each in caplog.records if each.getMessage() == "request refused for now"]
    assert [each.__dict__["request_id"] for each in lines] == [answer.headers["x-request-id"]]


async def test_jobs_are_kept_though_others_are_in_the_way(store: Store) -> None:
    actor = await store.a_user()
    batches = [
        store.submissions.submit(actor, [a_job(n, queue=f"q{(n + turn) % 5}") for n in range(5)])
        for turn in range(10)
    ]

    assert [len(each) for each in await asyncio.gather(*batches)] == [5] * 10
