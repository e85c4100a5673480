"""Limits hold over many worker processes, whichever of them are killed.

`make chaos` runs more jobs, for longer.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest

from internal.adapters.postgres.codes import OUTCOMES
from internal.domain.handlers import Handlers
from internal.domain.jobs import Outcome
from internal.domain.queues import QueueSettings, RateLimit
from internal.domain.submission import NewJob, Submission, accept
from tests.support.conditions import eventually
from tests.support.fleet import Fleet, fleet
from tests.support.invariants import violations
from tests.support.journal import PATH, journaled, read_journal
from tests.support.limits import check_rate
from tests.support.store import DEFAULTS, Store, open_store
from tests.support.truth import Truth

ROUNDS: Final = int(os.environ.get("WINDLASS_CHAOS_ROUNDS", "0"))
SEED: Final = int(os.environ.get("WINDLASS_CHAOS_SEED", "1"))
JOBS: Final = 2_000 if ROUNDS else 150
SECONDS: Final = 30 if ROUNDS else 3
RATE: Final = 50
TOLERANCE: Final = 0.05
BETWEEN_KILLS_S: Final = 0.3
PATIENCE_S: Final = 1200 if ROUNDS else 60

Attempt = tuple[UUID, int]


@pytest.mark.parametrize("seed", [SEED], ids=lambda seed: f"round {seed}")
@pytest.mark.timeout(0 if ROUNDS else 120)
async def test_a_key_runs_one_job_at_a_time_whoever_is_killed(
    seed: int, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = Random(seed)  # noqa: S311 - a seed makes the choices again
    settings = _settings(database_url, tmp_path)
    async with open_store(database_url) as store:
        actor = await store.a_user()
        jobs = [_a_job(n, {"sleep_ms": random.randint(0, 10)}, key="one") for n in range(JOBS)]
        await store.submissions.submit(actor, jobs)
        with fleet(4, settings, _folder(tmp_path, "steady")) as steady:
            with fleet(4, settings, _folder(tmp_path, "mortal")) as mortal:
                began = asyncio.get_running_loop().time()
                killing = asyncio.create_task(_kill(mortal, random))
                try:
                    await eventually(lambda: _all_ended(store), PATIENCE_S, every_s=0.1)
                finally:
                    killing.cancel()
                took = asyncio.get_running_loop().time() - began
                await asyncio.gather(killing, return_exceptions=True)
            await steady.stop()
        lost = await _lost(store)
        overtaken = _check_turns(read_journal(tmp_path / "journal").starts, tmp_path, lost)
        await Truth(store, is_heard=False).check(set())
        assert await violations(store) == {}
    if ROUNDS:
        with capsys.disabled():
            print(
                f"{JOBS} jobs of a key in {took:.1f} s, one at a time; {mortal.kills} workers"
                f" killed, {len(lost)} attempts lost, {overtaken} ran on after that"
            )


@pytest.mark.parametrize("seconds", [SECONDS], ids=lambda seconds: f"round of {seconds} s")
@pytest.mark.timeout(0 if ROUNDS else 120)
async def test_starts_keep_to_a_rate_over_four_workers(
    seconds: int, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = RateLimit(RATE)
    async with open_store(database_url) as store:
        actor = await store.a_user()
        await store.queues.set(actor, "default", QueueSettings(rate_limit=limit))
        with fleet(4, _settings(database_url, tmp_path), tmp_path) as workers:
            await eventually(lambda: workers.is_at_work)
            since = time.monotonic()
            jobs = [_a_job(n, {"sleep_ms": 0}) for n in range(limit.tokens + RATE * seconds)]
            await store.submissions.submit(actor, jobs)
            await eventually(lambda: _all_ended(store), PATIENCE_S, every_s=0.1)
            await workers.stop()
    starts = sorted(at / 1e9 for (at,) in read_journal(tmp_path / "journal").starts.values())
    assert len(starts) == len(jobs)
    check_rate(starts, since, per_s=RATE, burst=limit.tokens)
    if ROUNDS:
        took = starts[-1] - starts[0]
        ideal = (len(jobs) - limit.tokens) / RATE
        with capsys.disabled():
            print(f"{len(jobs)} starts in {took:.2f} s, at {RATE}/s it would be {ideal:.2f} s")
        assert abs(took - ideal) <= TOLERANCE * ideal


def _settings(database_url: str, folder: Path) -> Mapping[str, str]:
    return {
        "DATABASE_URL": database_url,
        "WINDLASS_JWT_SECRET": "only for this test, and as long as it must be",
        "WINDLASS_HANDLERS": "tests.support.journal",
        "WINDLASS_LEASE_TTL": "1s",
        "WINDLASS_WORKER_CONCURRENCY": "20",
        PATH: str(folder / "journal"),
    }


def _folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _a_job(number: int, payload: dict[str, Any], key: str | None = None) -> NewJob:
    request = {"type": "journaled", "payload": payload, "max_attempts": 100}
    if key is not None:
        request["concurrency_key"] = key
    submission = msgspec.json.decode(msgspec.json.encode(request), type=Submission)
    return accept(submission, Handlers([journaled]), DEFAULTS, index=number)


async def _kill(mortal: Fleet, random: Random) -> None:
    while True:
        await asyncio.sleep(BETWEEN_KILLS_S)
        mortal.kill_one(random)


async def _all_ended(store: Store) -> bool:
    query = "select not exists (select from job_state where status < 4)"
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(query))


async def _lost(store: Store) -> set[Attempt]:
    async with store.database.hot() as connection:
        rows = await connection.fetch("select job_id, number, status from attempt")
    return {(r["job_id"], r["number"]) for r in rows if OUTCOMES[r["status"]] is Outcome.LOST}


def _check_turns(starts: Mapping[Attempt, list[int]], folder: Path, lost: set[Attempt]) -> int:
    """Each handler ended before the next one began, or was lost with its worker.

    Returns how many ran on after that: a process that gets no time for longer than its lease may.
    """
    ends = read_journal(folder / "journal").ends
    assert all(len(times) == 1 for times in starts.values()), "an attempt was started twice"
    overtaken = 0
    for before, after in pairwise(sorted(starts, key=lambda attempt: starts[attempt][0])):
        ended = ends.get(before, [None])[0]
        if ended is None or ended > starts[after][0]:
            assert before in lost, f"{before} and {after} ran at the same time"
            overtaken += ended is not None
    return overtaken
