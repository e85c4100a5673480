"""Finding the server that runs in a cluster folder."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil

from internal.adapters.embedded.errors import EmbeddedError

_PID_LINE, _PORT_LINE, _SOCKET_LINE, _STATUS_LINE = 0, 3, 4, 7


class PidFile(msgspec.Struct, frozen=True):
    """What `postmaster.pid` says; the texts are empty until the server has got so far."""

    pid: int
    port: str
    socket_folder: str
    status: str


def read_pid_file(cluster: Path) -> PidFile | None:
    """None when there is none, or when it is just being written."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[_PID_LINE])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    except OSError as error:
        raise EmbeddedError(
            f"cannot read {cluster}: {error.strerror}; was it made by another user?"
        ) from error
    lines += [""] * (_STATUS_LINE + 1 - len(lines))
    texts = (lines[line].strip() for line in (_PORT_LINE, _SOCKET_LINE, _STATUS_LINE))
    return PidFile(pid, *texts)


def postmaster(cluster: Path) -> psutil.Process | None:
    """The live server of a cluster folder.

    A pid in `postmaster.pid` proves nothing: after a crash, or in a new container, another process
    may have it. A PostgreSQL process is known by its name and by working in its cluster folder.
    """
    pid_file = read_pid_file(cluster)
    if pid_file is None:
        return None
    try:
        process = psutil.Process(pid_file.pid)
    except psutil.NoSuchProcess:
        return None
    return process if works_in(process, cluster) else None


def processes(cluster: Path) -> list[psutil.Process]:
    """Every PostgreSQL process of a cluster folder: after a crash, also those not yet ended."""
    return [process for process in psutil.process_iter() if works_in(process, cluster)]


def option_of(process: psutil.Process, name: str) -> str | None:
    """A setting by its long name on a server's command line; None without it, and after its end."""
    try:
        arguments = process.cmdline()
    except psutil.Error:
        return None
    prefix = f"--{name}="
    return next((each.removeprefix(prefix) for each in arguments if each.startswith(prefix)), None)


def works_in(process: psutil.Process, cluster: Path) -> bool:
    """Whether a process is alive and a PostgreSQL process of this cluster; a zombie is not."""
    try:
        return process.name() == "postgres" and Path(process.cwd()) == cluster
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
