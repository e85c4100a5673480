from __future__ import annotations

import logging
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import psutil

from internal.adapters.embedded.cluster import (
    PORT,
    ROLE,
    ensure_cluster,
    is_own_folder,
    socket_folder,
)
from internal.adapters.embedded.errors import EmbeddedError
from internal.adapters.embedded.patience import Patience
from internal.adapters.embedded.postmaster import (
    PidFile,
    option_of,
    postmaster,
    processes,
    read_pid_file,
    works_in,
)
from internal.adapters.embedded.programs import Programs, packaged_binaries, stops_held
from internal.adapters.embedded.system_user import make_readable, open_up, server_user

DATABASE: Final = "windlass"

# psql's \gexec runs the statement that the query gives, if any.
_CREATE_DATABASE: Final = """
SELECT 'CREATE DATABASE windlass'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'windlass') \\gexec
"""

# Durability is left as PostgreSQL has it: an acknowledged job survives a crash.
_OPTIONS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_SOCKET_OPTION: Final = "unix_socket_directories"
_LEFTOVERS_PATIENCE_S: Final = 120.0
# A fast stop writes a checkpoint; an immediate one leaves a recovery to the next start.
_STOPS: Final = ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10))

_log = logging.getLogger(__name__)


def running_dsn(data_dir: Path) -> str | None:
    """Where the server of a data directory answers, or will once it has recovered; None if none."""
    cluster = _cluster(data_dir)
    pid_file = read_pid_file(cluster)
    if pid_file is None or not pid_file.socket_folder or postmaster(cluster) is None:
        return None
    return _dsn(pid_file)


class EmbeddedServer:
    """The PostgreSQL server of one data directory, whose lock (`data_directory`) its starter holds.

    It outlives us when we are killed; the next start adopts it, and stops it in the end. A server
    that an operator has started on the same folder is used, but never stopped.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        binaries: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """`options` are server settings beyond ours; tests switch `fsync` off."""
        self._data_dir = data_dir
        self._cluster = _cluster(data_dir)
        self._log = self._cluster.with_suffix(".log")
        self._binaries = binaries
        self._options = _OPTIONS | dict(options or {})
        self._process: psutil.Process | None = None
        # What this object started itself, and where that one's socket is.
        self._launched: psutil.Process | None = None
        self._folder = self._cluster

    def start(self) -> str:
        """Start or adopt the server, wait until it answers, and return its DSN.

        Starting again brings back a server that died; its DSN stays the same. A recovery after a
        crash is waited for however long it takes, with a log line now and then.

        Raises:
            EmbeddedError: saying why it cannot run.
        """
        if self._process is not None:
            self.stop()
        try:
            programs = self._programs()
            self._process = process = self._adopt() or self._launch(programs)
            self._wait_until_ready(process)
            return self._database(programs)
        except OSError as error:
            raise EmbeddedError(
                f"cannot run PostgreSQL in {self._data_dir}: {error.strerror} ({error.filename})"
            ) from error

    def is_running(self) -> bool:
        """Whether the server that was started or adopted is still there."""
        return self._process is not None and works_in(self._process, self._cluster)

    def stop(self) -> None:
        """Stop the server, without its clients' consent; does nothing where it does not run.

        A server that was not started by Windlass is left running, with its socket's folder.
        """
        process = self._process or postmaster(self._cluster)
        self._process = None
        if process is None:
            return
        folder = self._own_folder(process)
        if folder is None:
            if works_in(process, self._cluster):
                _log.info("PostgreSQL was not started by Windlass (pid %d): left on", process.pid)
            return
        for number, patience in _STOPS:
            try:
                process.send_signal(number)
                process.wait(patience)
                break
            except psutil.NoSuchProcess:
                break
            except psutil.TimeoutExpired:
                _log.warning("PostgreSQL did not stop within %d s of %s", patience, number.name)
        if folder != self._cluster:
            shutil.rmtree(folder, ignore_errors=True)

    def _own_folder(self, process: psutil.Process) -> Path | None:
        """The socket's folder of a server that Windlass started, by its command line; else None."""
        named = option_of(process, _SOCKET_OPTION)
        if named is None:
            # One that has died by now: its folder is ours if this object started it.
            return self._folder if process == self._launched else None
        folder = Path(named)
        return folder if is_own_folder(self._cluster, folder) else None

    def _programs(self) -> Programs:
        binaries = self._binaries or packaged_binaries()
        programs = Programs(binaries, server_user(self._cluster))
        if programs.user is not None:
            make_readable(binaries.parent)
            open_up(binaries, programs.user)
            open_up(self._cluster, programs.user)
        durable = self._options.get("fsync") != "off"
        ensure_cluster(self._cluster, programs, durable=durable)
        return programs

    def _adopt(self) -> psutil.Process | None:
        """The server that is still there, or None once the last process of an earlier one ended."""
        patience = Patience("PostgreSQL of an earlier run is still ending")
        while left := processes(self._cluster):
            running = postmaster(self._cluster)
            if running is not None and not self._is_stopping():
                _log.info("PostgreSQL is still running from before (pid %d): using it", running.pid)
                return running
            if patience.seconds > _LEFTOVERS_PATIENCE_S:
                pids = ", ".join(str(process.pid) for process in left)
                raise EmbeddedError(
                    f"PostgreSQL processes of an earlier run do not end: end {pids}"
                )
            patience.wait()
        return None

    def _is_stopping(self) -> bool:
        pid_file = read_pid_file(self._cluster)
        return pid_file is not None and pid_file.status == "stopping"

    def _launch(self, programs: Programs) -> psutil.Process:
        folder = socket_folder(self._cluster, programs.user)
        for stale in (self._cluster / "postmaster.pid", folder / f".s.PGSQL.{PORT}.lock"):
            stale.unlink(missing_ok=True)
        options = {**self._options, _SOCKET_OPTION: str(folder)}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        command = ("postgres", "-D", str(self._cluster), *arguments)
        # Without a Ctrl-C in between: what is not noted here is not stopped.
        with self._fresh_log() as output, stops_held():
            self._process = programs.spawn(*command, folder=self._cluster, output=output)
            self._launched, self._folder = self._process, folder
        return self._process

    def _wait_until_ready(self, process: psutil.Process) -> None:
        patience = Patience("PostgreSQL is still recovering from an unclean stop")
        while True:
            pid_file = read_pid_file(self._cluster)
            if pid_file is not None and (pid_file.pid, pid_file.status) == (process.pid, "ready"):
                return
            if not works_in(process, self._cluster):
                raise EmbeddedError(f"PostgreSQL did not start: {self._last_words()}")
            patience.wait()

    def _database(self, programs: Programs) -> str:
        pid_file = read_pid_file(self._cluster)
        if pid_file is None:
            raise EmbeddedError(f"PostgreSQL stopped again: {self._last_words()}")
        if not pid_file.socket_folder:
            raise EmbeddedError(
                f"PostgreSQL (pid {pid_file.pid}) runs in {self._cluster} without a Unix socket,"
                " started by another program: stop it, or set DATABASE_URL to where it listens"
            )
        programs.run(
            "psql",
            "--no-psqlrc",
            "--quiet",
            f"--host={pid_file.socket_folder}",
            f"--port={pid_file.port}",
            f"--username={ROLE}",
            "--dbname=postgres",
            text=_CREATE_DATABASE,
        )
        return _dsn(pid_file)

    def _fresh_log(self) -> IO[bytes]:
        """The log of this start; the one before it is kept, as it may tell of a crash."""
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.1"))
        self._log.touch(mode=0o600)
        return self._log.open("wb")

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
        return f"{(fatal or lines or ['it said nothing'])[-1]} (more in {self._log})"


def _cluster(data_dir: Path) -> Path:
    return data_dir.resolve() / "postgres"


def _dsn(pid_file: PidFile) -> str:
    socket = quote(pid_file.socket_folder)
    return f"postgresql://{ROLE}@/{DATABASE}?host={socket}&port={pid_file.port}"
