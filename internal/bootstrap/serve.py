"""`windlass serve`: everything in one command, PostgreSQL included."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version

import msgspec

from internal.adapters.embedded import EmbeddedServer, data_directory
from internal.bootstrap.children import Child
from internal.bootstrap.database import require_secret, require_serving
from internal.bootstrap.exits import ExitCode
from internal.bootstrap.listening import listening_socket
from internal.bootstrap.output import say
from internal.bootstrap.secret import keep_secret
from internal.bootstrap.settings import Settings
from internal.bootstrap.supervisor import Supervisor, workers_of

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> int:
    """Run until a signal asks to stop, and leave no process behind."""
    say(f"Windlass {version('windlass')} is starting ...")
    require_secret(settings)
    interrupt = _Interrupt()
    try:
        with _alone(settings):
            listening_socket(settings.host, settings.port).close()
            with _database(settings) as (dsn, server):
                interrupt.again()
                asyncio.run(_run(settings, dsn, server, interrupt))
    except KeyboardInterrupt:
        pass
    say("Windlass has stopped.")
    return ExitCode.OK


class _Interrupt:
    """Until the supervisor takes over: a signal to stop is a KeyboardInterrupt.

    Code that happens to run at that moment may take it for an error of its own and go on. So it is
    remembered, and raised again after each step.
    """

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
                signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._asked = True
        raise KeyboardInterrupt

    def again(self) -> None:
        """Raise it if there was one."""
        if self._asked:
            raise KeyboardInterrupt


def _alone(settings: Settings) -> AbstractContextManager[None]:
    return nullcontext() if settings.database_url else data_directory(settings.data_dir)


@contextmanager
def _database(settings: Settings) -> Iterator[tuple[str, EmbeddedServer | None]]:
    if settings.database_url:
        yield settings.database_url, None
        return
    keep_secret(settings.data_dir)
    _log.info("starting PostgreSQL in %s", settings.data_dir.resolve())
    server = EmbeddedServer(settings.data_dir)
    try:
        yield server.start(), server
    finally:
        # Further signals change nothing: it ends within seconds, and it holds the jobs.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        server.stop()


async def _run(
    settings: Settings, dsn: str, server: EmbeddedServer | None, interrupt: _Interrupt
) -> None:
    # Takes half a second to import: by now the operator has read the first lines.
    from internal.bootstrap.migrations import migrate_up  # noqa: PLC0415

    started = msgspec.structs.replace(settings, database_url=dsn)
    await require_serving(started, apis=1, workers=settings.worker_processes)
    await migrate_up(dsn)
    interrupt.again()
    children = [Child("API", "api"), *workers_of(settings)]
    await Supervisor(settings, dsn, children, server=server, announces=True).run()
