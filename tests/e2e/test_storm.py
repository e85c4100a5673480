"""Every misbehaviour at once, among jobs of two users that behave well and must not notice it.

`make chaos` repeats it for five minutes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

import httpx
import psutil
import pytest

from internal.adapters.postgres.codes import OUTCOMES, STATUSES
from internal.domain.jobs import Outcome
from tests.support.conditions import eventually
from tests.support.installation import LONG, Installation, installation
from tests.support.invariants import violations
from tests.support.journal import read_journal
from tests.support.misdeeds import MISDEEDS, MORE_MISDEEDS, SNOOZE, Misdeed
from tests.support.records import Tally, check_done_once, records_of
from tests.support.serving import Windlass
from tests.support.store import Store, open_store

USERS: Final = 2
SENT: Final = (*MISDEEDS, *MORE_MISDEEDS) if LONG else MISDEEDS
JOBS: Final = 250 if LONG else 35  # of each user and round
LASTS_S: Final = 300 if LONG else 0
PROCESSES: Final = 4
PATIENCE_S: Final = 200
MOST_BYTES: Final = 250 * 1024 * 1024
# Those that were handed back, and are kept of a job that is handed back for ever.
MOST_RELEASED: Final = 100 + 20
SETTINGS: Final[dict[str, Any]] = {
    "WINDLASS_API_RATE": "0",
    "WINDLASS_HANDLERS": "tests.support.journal,tests.support.misbehaving",
    "WINDLASS_LEASE_TTL": "4s",
    "WINDLASS_SHUTDOWN_GRACE": "1s",
    "WINDLASS_WORKER_CONCURRENCY": "20",
    "WINDLASS_WORKER_PROCESSES": str(PROCESSES),
}
WORKING: Final = """
    select count(*) from job_state s join job j on j.id = s.job_id
    where s.status < 4 and j.type <> 'snoozes'
"""
SNOOZED: Final = """
    select min(s.number) as least, max(s.attempts) as counted, max(kept) as kept
    from job_state s join job j on j.id = s.job_id,
         lateral (select count(*) as kept from attempt where job_id = j.id) a
    where j.type = 'snoozes'
"""
LEFT: Final = """
    select (select count(*) from lease) as leases, (select count(*) from hold) as holds,
           (select count(*) from suspect) as suspects, (select count(*) from outbox) as untold,
           (select count(*) from ready) as ready
"""


class Storm:
    """What the users sent, and how each misdeed is to end."""

    def __init__(self, clients: list[httpx.AsyncClient]) -> None:
        self.behaving: set[UUID] = set()
        self.misdeeds: dict[UUID, Misdeed] = {}
        self.rounds = 0
        self._clients = clients
        self._random = Random(11)  # noqa: S311 - repeats the same order

    async def blow(self) -> None:
        """Send a round of jobs, each user's in an order of their own."""
        self.rounds += 1
        for number, client in enumerate(self._clients):
            own = SENT[number :: len(self._clients)]
            jobs: list[tuple[dict[str, Any], Misdeed | None]] = [
                (self._behaving(), None) for _ in range(JOBS)
            ]
            jobs += [(each.job(), each) for each in own]
            self._random.shuffle(jobs)
            answer = await client.post("/v1/jobs/batch", json={"jobs": [job for job, _ in jobs]})
            assert answer.is_success, answer.text
            for made, (_, misdeed) in zip(answer.json()["data"]["jobs"], jobs, strict=True):
                if misdeed is None:
                    self.behaving.add(UUID(made["id"]))
                else:
                    self.misdeeds[UUID(made["id"])] = misdeed

    async def end_snoozing(self) -> None:
        """Cancel what would go on for ever."""
        for client in self._clients:
            for job_id, misdeed in self.misdeeds.items():
                if misdeed is SNOOZE:
                    await client.post(f"/v1/jobs/{job_id}/cancel")

    def _behaving(self) -> dict[str, Any]:
        return {"type": "journaled", "payload": {"sleep_ms": self._random.randrange(0, 1500)}}


@pytest.mark.timeout(1200 if LONG else 300)
async def test_jobs_that_behave_well_do_not_notice_those_that_do_not(
    database_url: str, tmp_path: Path, report: Callable[[str], None]
) -> None:
    async with (
        open_store(database_url) as store,
        installation(database_url, tmp_path, workers=0, **SETTINGS) as running,
    ):
        worker = await running.start_worker()
        clients = [await _a_user(running) for _ in range(USERS)]
        storm = Storm(clients)
        began = time.monotonic()
        while not storm.rounds or time.monotonic() < began + LASTS_S:
            await storm.blow()
            await eventually(lambda: _is_calm(store), within_s=PATIENCE_S, every_s=0.2)
            report(f"round {storm.rounds}: {time.monotonic() - began:.0f} s, {_memory(worker)}")
        tally = await _check_behaving(store, running, worker, storm)
        await _check_snoozing(store)
        await storm.end_snoozing()
        _check_memory(running)
        await running.stop(worker)
        await eventually(lambda: not _session(worker), within_s=90, every_s=0.2)
        await _check_misdeeds(store, storm.misdeeds)
        await _check_left(store)
        for client in clients:
            await client.aclose()
        running.check_none_ended()  # which leaves the API
        report(f"{storm.rounds} rounds: {tally}")


async def _a_user(running: Installation) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {await running.sign_up()}"}
    return httpx.AsyncClient(base_url=running.urls[0], headers=headers, timeout=60)


async def _is_calm(store: Store) -> bool:
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(WORKING) == 0)


async def _check_behaving(
    store: Store, running: Installation, worker: Windlass, storm: Storm
) -> Tally:
    """Each succeeded, and was started again only where its process had ended."""
    journal = read_journal(running.journal)
    records = await records_of(store)
    assert storm.behaving <= set(records)
    tally = Tally()
    for job_id in storm.behaving:
        check_done_once(job_id, records[job_id], journal, tally)
    assert set(tally.outcomes) <= {Outcome.SUCCEEDED, Outcome.LOST, Outcome.RELEASED}
    cut_short = {
        (job_id, each["number"])
        for job_id in storm.behaving
        for each in records[job_id]
        if OUTCOMES[each["status"]] is not Outcome.SUCCEEDED
    }
    ended = {journal.processes[each] for each in cut_short & set(journal.processes)}
    # One that ends by itself may be at its last steps still.
    await eventually(lambda: not ended & _pids(worker), within_s=60, every_s=0.1)
    return tally


def _pids(worker: Windlass) -> set[int]:
    return {each.pid for each in worker.children()}


async def _check_snoozing(store: Store) -> None:
    """They go on, cost no attempt, and fill no table."""

    async def have_gone_on() -> bool:
        async with store.database.hot() as connection:
            row = await connection.fetchrow(SNOOZED)
        assert row is not None
        assert row["counted"] == 0
        assert row["kept"] <= MOST_RELEASED
        return bool(row["least"] >= 3)

    await eventually(have_gone_on, within_s=PATIENCE_S, every_s=0.2)


def _memory(worker: Windlass) -> str:
    sizes = [_resident(each) for each in worker.children()]
    return f"{max(sizes, default=0) / 1e6:.0f} MB in the largest of {len(sizes)} processes"


def _check_memory(running: Installation) -> None:
    for command in running.commands:
        for each in (psutil.Process(command.process.pid), *command.children()):
            assert _resident(each) < MOST_BYTES, each


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _session(command: Windlass) -> list[psutil.Process]:
    """What is left of all that a command started, whoever its parent is by now."""
    return [each for each in psutil.process_iter() if _is_of_session(each, command.process.pid)]


def _is_of_session(process: psutil.Process, leader: int) -> bool:
    try:
        is_gone = process.status() == psutil.STATUS_ZOMBIE
        return not is_gone and os.getsid(process.pid) == leader
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False


async def _check_misdeeds(store: Store, misdeeds: Mapping[UUID, Misdeed]) -> None:
    async with store.database.hot() as connection:
        rows = await connection.fetch("select job_id, status, number, attempts from job_state")
    found = {row["job_id"]: row for row in rows}
    for job_id, misdeed in misdeeds.items():
        row = found[job_id]
        assert STATUSES[row["status"]] == misdeed.ends_as, (misdeed, dict(row))


async def _check_left(store: Store) -> None:
    """Nothing waits or is held, and the report of what always holds is clean."""

    async def is_nothing_left() -> bool:
        await store.sweep("suspects")
        async with store.database.hot() as connection:
            row = await connection.fetchrow(LEFT)
        return row is not None and not any(row.values())

    await eventually(is_nothing_left, within_s=60, every_s=0.2)
    assert await violations(store) == {}
