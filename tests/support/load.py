"""Clients that submit jobs at a steady pace, whatever happens to the servers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import httpx

from tests.support.conditions import eventually
from tests.support.installation import Installation
from tests.support.journal import read_journal
from tests.support.records import Tally, check_each_done_once
from tests.support.store import Store, open_store

_AT_ONCE: Final = 40
_TRY_AGAIN_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 2.0
_PATIENCE_S: Final = 300


class Load:
    """Jobs of one user, each under a key of its own and sent until it is acknowledged.

    A request that got no answer, or 503 with Retry-After, is sent again to the next server: that
    is what keys are for. Any other answer is a fault.
    """

    def __init__(
        self, urls: Sequence[str], token: str, *, per_second: float, sleep_ms: int
    ) -> None:
        self.acknowledged: dict[str, UUID] = {}
        self.acknowledged_at: list[float] = []
        self.refusals: Counter[str] = Counter()
        self.token = token
        self._urls = itertools.cycle(urls)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._job = {"type": "journaled", "payload": {"sleep_ms": sleep_ms}}
        self._pause_s = 1 / per_second
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Submit until `stop`; return when all that was sent is acknowledged."""
        limits = httpx.Limits(max_connections=_AT_ONCE)
        timeout = httpx.Timeout(60, pool=None)
        async with (
            httpx.AsyncClient(headers=self._headers, limits=limits, timeout=timeout) as client,
            asyncio.TaskGroup() as sending,
        ):
            began = time.monotonic()
            for number in itertools.count():
                due_in_s = began + number * self._pause_s - time.monotonic()
                await asyncio.sleep(max(0, due_in_s))
                if self._stopped.is_set():
                    return
                sending.create_task(self._submit(client, f"key {number}"))

    async def submit_batch(self, jobs: Sequence[dict[str, Any]]) -> set[UUID]:
        """Submit other jobs beside the load, to servers that are all there; their ids."""
        async with httpx.AsyncClient(headers=self._headers, timeout=60) as client:
            url = f"{next(self._urls)}/v1/jobs/batch"
            answer = await client.post(url, json={"jobs": jobs})
        assert answer.is_success, answer.text
        return {UUID(each["id"]) for each in answer.json()["data"]["jobs"]}

    def stop(self) -> None:
        """Begin no further job."""
        self._stopped.set()

    async def has(self, count: int) -> None:
        """Wait until so many are acknowledged, counted from the first."""
        await eventually(lambda: len(self.acknowledged) >= count, within_s=_PATIENCE_S)

    async def goes_on(self, jobs: int = 20) -> None:
        """Wait until so many more than now are acknowledged."""
        await self.has(len(self.acknowledged) + jobs)

    def summary(self) -> str:
        """What a long run prints."""
        pairs = itertools.pairwise(sorted(self.acknowledged_at))
        gap_s = max((later - earlier for earlier, later in pairs), default=0.0)
        refused = ", ".join(f"{count} x {what}" for what, count in self.refusals.most_common())
        return (
            f"{len(self.acknowledged)} jobs acknowledged, the longest gap {gap_s:.1f} s,"
            f" tried again after: {refused or 'nothing'}"
        )

    async def _submit(self, client: httpx.AsyncClient, key: str) -> None:
        request = {**self._job, "idempotency_key": key}
        for url in self._urls:
            pause_s = _TRY_AGAIN_S
            try:
                answer = await client.post(f"{url}/v1/jobs", json=request)
            except httpx.TransportError as error:
                self.refusals[type(error).__name__] += 1
            else:
                if answer.status_code != 503:
                    self._note(key, answer)
                    return
                self.refusals["503"] += 1
                pause_s = min(_LONGEST_PAUSE_S, float(answer.headers["retry-after"]))
            await asyncio.sleep(pause_s)

    def _note(self, key: str, answer: httpx.Response) -> None:
        assert answer.is_success, answer.text
        self.acknowledged[key] = UUID(answer.json()["data"]["id"])
        self.acknowledged_at.append(time.monotonic())


@asynccontextmanager
async def load(running: Installation, *, per_second: float, sleep_ms: int) -> AsyncIterator[Load]:
    """A load for as long as the block lasts; all of it is acknowledged when it ends."""
    sent = Load(running.urls, await running.sign_up(), per_second=per_second, sleep_ms=sleep_ms)
    async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
        group.create_task(sent.run())
        await sent.goes_on()
        yield sent
        sent.stop()
        limit.reschedule(asyncio.get_running_loop().time() + _PATIENCE_S)
    running.accepted |= set(sent.acknowledged.values())


async def check_all_done(database_url: str, running: Installation) -> Tally:
    """Wait until nothing is left to do; each accepted job was done once, and there is no other."""
    async with open_store(database_url) as store:
        await eventually(lambda: is_all_done(store), within_s=_PATIENCE_S, every_s=0.1)
        return await check_each_done_once(store, running.accepted, read_journal(running.journal))


async def is_all_done(store: Store) -> bool:
    """Whether every job has ended."""
    query = "select not exists (select from job_state where status < 4)"
    async with store.database.hot() as connection:
        return bool(await connection.fetchval(query))
