from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from internal.adapters.embedded import EmbeddedServer
from internal.adapters.postgres.beats import PostgresBeats
from internal.bootstrap.children import Care, Child, end_all
from internal.bootstrap.health import report
from internal.bootstrap.listening import browser_url
from internal.bootstrap.output import say
from internal.bootstrap.process import LAST_WRITES, on_stop_signals
from internal.bootstrap.settings import Settings
from internal.domain.errors import UnavailableError

_LOOK_EVERY_S: Final = 0.1
_WATCH_EVERY_S: Final = 1.0
_REMIND_AFTER_S: Final = 15.0
_MOST_ISOLATED: Final = 4
# Until it is recorded that a process has ended, its jobs wait for their leases to run out.
_RECORD_AGAIN_S: Final = (0.5, 1.0, 2.0, 4.0)

_log = logging.getLogger(__name__)


def workers_of(settings: Settings) -> list[Child]:
    """As many worker processes as are set."""
    numbers = range(1, settings.worker_processes + 1)
    return [Child(f"worker {number}", "worker") for number in numbers]


class Supervisor:
    """Keeps processes running until a signal asks it to stop."""

    def __init__(
        self,
        settings: Settings,
        dsn: str,
        children: Sequence[Child],
        *,
        server: EmbeddedServer | None = None,
        announces: bool = False,
    ) -> None:
        """`server` is watched too. With `announces` it says when the API among them is ready."""
        self._settings = settings
        self._dsn = dsn
        self._children = list(children)
        self._server = server
        self._announces = announces
        self._care = Care(settings.lease_ttl, self._record_end, self._want_isolated)
        self._isolated: dict[asyncio.Task[object], Child] = {}
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()

    async def run(self) -> None:
        """Run until stopped; a second signal ends the children at once.

        Raises:
            StartError: when one of them cannot start.
            EmbeddedError: when PostgreSQL died and cannot be started again.
        """
        on_stop_signals(asyncio.get_running_loop(), self._on_signal)
        duties: list[Coroutine[Any, Any, object]] = [
            child.keep(self._care) for child in self._children
        ]
        if self._server is not None:
            duties.append(self._watch(self._server))
        keeping = [asyncio.create_task(duty) for duty in (self._stop.wait(), *duties)]
        announcing = [asyncio.create_task(report(self._settings.data_dir, self._signs_of_life))]
        if self._announces:
            announcing.append(asyncio.create_task(self._announce()))
        done, _ = await asyncio.wait(keeping, return_when=asyncio.FIRST_COMPLETED)
        children = [*self._children, *self._isolated.values()]
        tasks = [*announcing, *keeping, *self._isolated]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        patience = self._settings.shutdown_grace + self._settings.drain + LAST_WRITES
        await end_all(children, at_once=self._at_once, patience_s=patience.total_seconds())
        if self._server is not None:
            # Here rather than later: a start that waits for a recovery gives up by this.
            await asyncio.to_thread(self._server.stop)
        if not self._stop.is_set():
            for task in done:
                task.result()

    def _signs_of_life(self) -> dict[str, float | None]:
        return {each.name: each.heard_at for each in self._children if each.runs_jobs}

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._at_once.set()
            return
        self._stop.set()
        grace = self._settings.shutdown_grace.total_seconds()
        _log.info("stopping: running jobs may finish within %d s (Ctrl-C again ends them)", grace)

    def _want_isolated(self) -> None:
        """Start a worker for jobs that run alone; it ends when it finds no more of them.

        One after the other: who waits asks on, and the one that starts may be enough.
        """
        isolated = self._isolated.values()
        is_one_starting = not all(each.is_at_work for each in isolated)
        if self._stop.is_set() or is_one_starting or len(isolated) >= _MOST_ISOLATED:
            return
        child = Child("isolated worker", "worker", "--alone")
        task: asyncio.Task[object] = asyncio.create_task(child.live(self._care))
        self._isolated[task] = child
        task.add_done_callback(self._isolated.pop)

    async def _record_end(
        self, worker_ids: Sequence[str], blamed: Sequence[UUID], suspected: Sequence[UUID]
    ) -> None:
        beats = PostgresBeats(self._dsn)
        for pause_s in (*_RECORD_AGAIN_S, 0):
            try:
                await beats.end(worker_ids, blamed, suspected)
            except UnavailableError as error:
                known = {"workers": list(worker_ids), "cause": repr(error.__cause__)}
                _log.warning("the end of a worker is not recorded yet: %s", error, extra=known)
                await asyncio.sleep(pause_s)
            else:
                break
        await beats.close()

    async def _watch(self, server: EmbeddedServer) -> None:
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            if not server.is_running():
                _log.error("PostgreSQL ended: starting it again")
                await asyncio.to_thread(server.start)

    async def _announce(self) -> None:
        url = browser_url(self._settings.host, self._settings.port)
        loop = asyncio.get_running_loop()
        remind_at = loop.time() + _REMIND_AFTER_S
        while not await _is_ready(url):
            if loop.time() > remind_at:
                _log.warning("the API is not ready yet: %s/ready says why", url)
                remind_at = loop.time() + _REMIND_AFTER_S
            await asyncio.sleep(_LOOK_EVERY_S)
        say(f"Windlass is ready: open {url} in a browser. Ctrl-C stops it.")


async def _is_ready(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(_REMIND_AFTER_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                request = f"GET /ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    return False
