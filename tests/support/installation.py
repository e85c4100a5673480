"""API and worker processes over one database, run apart as an operator runs them."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import httpx
import psutil

from tests.support.conditions import eventually
from tests.support.journal import PATH
from tests.support.serving import Windlass, free_port, is_gone, windlass

ROOT: Final = Path(__file__).parents[2]
# The trials in their long form, for `make trials` and `make chaos`.
LONG: Final = "WINDLASS_TRIALS" in os.environ

_START_S: Final = 90


class Api:
    """One API process on a port that stays the same when it is started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: Windlass | None = None


class Installation:
    """Some APIs and workers; `commands` are those that run, `accepted` what clients sent them."""

    def __init__(
        self, settings: Mapping[str, str], stack: AsyncExitStack, *, apis: int, journal: Path
    ) -> None:
        self.apis = [Api() for _ in range(apis)]
        self.workers: list[Windlass] = []
        self.commands: list[Windlass] = []
        self.accepted: set[UUID] = set()
        self.journal = journal
        self._families: dict[Windlass, list[psutil.Process]] = {}
        self._settings = settings
        self._stack = stack

    @property
    def urls(self) -> list[str]:
        """Of each API."""
        return [api.url for api in self.apis]

    async def start_api(self, api: Api) -> None:
        """Start it, and wait until it is ready."""
        api.process = await self._start("api", PORT=api.port)
        await eventually(partial(is_ready, api.url), within_s=_START_S, every_s=0.05)
        self._families[api.process] = family(api.process)

    async def start_worker(self) -> Windlass:
        """Start one more, and wait until it claims jobs."""
        worker = await self._start("worker")
        self.workers.append(worker)
        await worker.says("working")
        self._families[worker] = family(worker)
        return worker

    async def stop(self, command: Windlass) -> None:
        """Ask it to end by SIGTERM, as a deploy does; it ends well."""
        command.process.terminate()
        assert await command.end() == 0, command.output
        self._forget(command)

    async def kill(self, command: Windlass) -> None:
        """By SIGKILL, with all that it has started."""
        for each in reversed(family(command)):
            each.kill()
        await command.end()
        self._forget(command)

    def take_as_is(self, command: Windlass) -> None:
        """What it has started may have been replaced on purpose: go by what runs now."""
        self._families[command] = family(command)

    def check_none_ended(self) -> None:
        """Each process that was not ended on purpose, and each that it started, lives on."""
        for each in self.commands:
            assert not any(map(is_gone, self._families[each])), each.output
            assert "Traceback" not in each.output, each.output

    async def sign_up(self) -> str:
        """The access token of a new user; asked for until the database lets one in."""
        person = {"email": f"{uuid4()}@example.com", "password": "correct horse"}
        async with httpx.AsyncClient(base_url=self.urls[0], timeout=30) as client:
            answers: list[httpx.Response] = []

            async def is_let_in() -> bool:
                answers.append(await client.post("/v1/signup", json=person))
                return answers[-1].status_code != 503

            await eventually(is_let_in, within_s=_START_S, every_s=0.5)
        assert answers[-1].status_code == 201, answers[-1].text
        token: str = answers[-1].json()["data"]["access_token"]
        return token

    def _forget(self, command: Windlass) -> None:
        self.commands.remove(command)
        self.workers = [each for each in self.workers if each is not command]

    async def _start(self, command: str, **own: str) -> Windlass:
        started = await self._stack.enter_async_context(windlass(command, **self._settings, **own))
        self.commands.append(started)
        return started


@asynccontextmanager
async def installation(
    database_url: str, folder: Path, *, apis: int = 1, workers: int = 1, **settings: str
) -> AsyncIterator[Installation]:
    """Start so many processes that run the journal's handler; none is left in the end."""
    journal = _empty_journal(folder)
    usual = {
        "DATABASE_URL": database_url,
        "PYTHONPATH": str(ROOT),
        "WINDLASS_ACCESS_TOKEN_TTL": "12h",
        "WINDLASS_HANDLERS": "tests.support.journal",
        "WINDLASS_JWT_SECRET": "only for this test, and as long as it must be",
        "WINDLASS_LEASE_TTL": "5s",
        "WINDLASS_LOG_FORMAT": "json",
        "WINDLASS_SHUTDOWN_GRACE": "3s",
        PATH: str(journal),
    }
    async with AsyncExitStack() as stack:
        running = Installation(usual | settings, stack, apis=apis, journal=journal)
        for api in running.apis:
            await running.start_api(api)
        for _ in range(workers):
            await running.start_worker()
        yield running


def _empty_journal(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    journal = folder / "journal"
    journal.touch()
    return journal


async def is_ready(url: str) -> bool:
    """Whether an API says that it can serve; False while nothing answers."""
    try:
        async with httpx.AsyncClient(base_url=url, timeout=10) as client:
            return (await client.get("/ready")).status_code == 200
    except httpx.TransportError:
        return False


def family(command: Windlass) -> list[psutil.Process]:
    """A command's process and those below it, the oldest first."""
    first = psutil.Process(command.process.pid)
    return [first, *first.children(recursive=True)]


def at_work(worker: Windlass) -> psutil.Process:
    """The process that runs the jobs: the command's own, or the one that it supervises."""
    supervised: Sequence[psutil.Process] = worker.children(command="worker")
    return supervised[0] if supervised else psutil.Process(worker.process.pid)


def send(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each that is still there."""
    for each in processes:
        try:
            each.send_signal(number)
        except psutil.NoSuchProcess:
            continue
