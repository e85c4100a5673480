"""This machine's clock beside the database's, and days that have no place for jobs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from internal.adapters.postgres.clock import PostgresClock
from internal.adapters.postgres.database import Hot
from internal.adapters.postgres.partitions import make_partitions
from internal.domain.errors import UnavailableError
from internal.domain.ids import IdGenerator, new_id
from tests.support.api import running_api
from tests.support.store import Store, a_job

OFF = [timedelta(days=20), timedelta(days=-40), timedelta(days=5)]


@pytest.fixture(autouse=True)
def right_time() -> Iterator[None]:
    """The generator of this process has the right time after each test."""
    yield
    new_id.follow(datetime.now(UTC))


@pytest.mark.parametrize("off", OFF)
async def test_ids_follow_the_databases_clock(store: Store, off: timedelta) -> None:
    ids = IdGenerator()
    ids.follow(datetime.now(UTC) + off)

    await PostgresClock(store.database, ids).compare()

    assert abs(_time_of(ids()) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_clock_that_agrees_is_not_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    clock = PostgresClock(store.database, IdGenerator())

    with caplog.at_level(logging.INFO):
        await clock.compare()
        await clock.compare()

    assert caplog.records == []


@pytest.mark.parametrize("off", [timedelta(days=20), timedelta(days=-40)])
async def test_a_submission_of_a_wrong_day_is_refused_once_and_then_right(
    database_url: str, off: timedelta
) -> None:
    async with running_api(database_url) as api:
        user = await api.a_user()
        new_id.follow(datetime.now(UTC) + off)

        first = await _submit(user.client)
        second = await _submit(user.client)

    assert first.status_code == 503
    assert first.headers["Retry-After"]
    assert second.status_code == 201


async def test_a_batch_of_a_wrong_day_is_refused_once_and_then_right(store: Store) -> None:
    user = await store.a_user()
    new_id.follow(datetime.now(UTC) + timedelta(days=20))
    wrong = [a_job(), a_job()]

    with pytest.raises(UnavailableError):
        await store.submissions.submit(user, wrong)

    await store.submissions.submit(user, [a_job(), a_job()])


async def test_a_submission_is_refused_while_today_has_no_partition(store: Store) -> None:
    user = await store.a_user()
    await _drop_days(store, first=0)

    with pytest.raises(UnavailableError):
        await store.submit(user)

    await store.upkeep.make_partitions()
    await store.submit(user)


async def test_partitions_that_cannot_be_made_are_a_warning_while_today_has_one(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await _drop_days(store, first=2)
    async with store.database.hot() as connection, _as_stranger(connection):
        await make_partitions(connection)
        await make_partitions(connection)

    warnings = [each.getMessage() for each in caplog.records]
    assert len(warnings) == 2
    assert "no job can be stored in 2 days" in warnings[0]


async def test_partitions_that_cannot_be_made_are_an_error_without_one_for_today(
    store: Store,
) -> None:
    await _drop_days(store, first=0)

    async with store.database.hot() as connection, _as_stranger(connection):
        with pytest.raises(UnavailableError):
            await make_partitions(connection)


async def _submit(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/v1/jobs", json={"type": "mock", "payload": {}})


def _time_of(made: UUID) -> datetime:
    return datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)


async def _drop_days(store: Store, *, first: int) -> None:
    """Leave no partition of a day so many days from today, or later."""
    query = """
        select relname from pg_class
        where relispartition and relkind = 'r'
          and right(relname, 8) >= to_char((now() at time zone 'UTC')::date + $1::int, 'YYYYMMDD')
    """
    async with store.database.hot() as connection:
        for day in await connection.fetch(query, first):
            await connection.execute(f"drop table {day['relname']}")


@asynccontextmanager
async def _as_stranger(connection: Hot) -> AsyncIterator[None]:
    """As a role that may use the tables but owns none of them."""
    await connection.execute(
        """
        do $$ begin create role windlass_stranger; exception when others then null; end $$;
        grant select, insert, update, delete on all tables in schema public to windlass_stranger;
        set role windlass_stranger;
        """
    )
    try:
        yield
    finally:
        await connection.execute("reset role; drop owned by windlass_stranger")
