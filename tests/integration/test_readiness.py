"""When `/ready` says that requests cannot be served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from internal.adapters.postgres.revision import SchemaCheck
from internal.bootstrap.migrations import migrate_up
from internal.bootstrap.revisions import this_release
from internal.domain.errors import UnavailableError
from internal.services import readiness
from internal.services.readiness import Readiness
from tests.support.releases import a_newer_release
from tests.support.store import Store, open_store


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        yield store


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "REMEMBERED_S", 0.0)


async def test_tables_of_this_release_are_ready(store: Store) -> None:
    await _of(store).check()


@pytest.mark.parametrize("gone", ["windlass_version", "job"])
async def test_tables_that_are_gone_are_named(store: Store, gone: str) -> None:
    ready = _of(store)
    await ready.check()

    await store.execute(f"drop table {gone} cascade")

    with pytest.raises(UnavailableError, match=r"is empty, this Windlass needs|no table of jobs"):
        await ready.check()


@pytest.mark.parametrize("additive", [True, False])
async def test_a_newer_release_is_named_only_if_it_changed_the_tables(
    store: Store, database_url: str, tmp_path: Path, *, additive: bool
) -> None:
    ready = _of(store)
    await migrate_up(database_url, folder=a_newer_release(tmp_path, additive=additive))

    if additive:
        await ready.check()
        return
    with pytest.raises(UnavailableError, match="which a newer Windlass made"):
        await ready.check()


async def test_a_process_that_stops_is_not_ready(store: Store) -> None:
    stop = asyncio.Event()
    ready = Readiness((store.database.check,), stop.is_set)
    await ready.check()

    stop.set()

    with pytest.raises(UnavailableError, match="This process is stopping"):
        await ready.check()


async def test_many_that_ask_at_once_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "REMEMBERED_S", 60.0)
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)

    ready = Readiness((look,), lambda: False)
    await asyncio.gather(*(ready.check() for _ in range(100)))

    assert looks == 1


async def test_a_check_that_hangs_is_an_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LONGEST_S", 0.05)

    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(UnavailableError, match="does not answer"):
        await Readiness((hang,), lambda: False).check()


def _of(store: Store) -> Readiness:
    schema = SchemaCheck(store.database, this_release().refusal)
    return Readiness((store.database.check, schema), lambda: False)
