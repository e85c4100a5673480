"""PostgreSQL servers on a TCP port, with the settings, encodings and certificates of a test."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from internal.adapters.embedded.cluster import ROLE, ensure_cluster, give_to
from internal.adapters.embedded.programs import Programs, packaged_binaries
from internal.adapters.embedded.system_user import (
    SystemUser,
    make_readable,
    open_up,
    server_user,
)
from tests.support.conditions import eventually
from tests.support.serving import free_port

DEBIAN_15: Final = Path("/usr/lib/postgresql/15/bin")
PGBOUNCER: Final = Path("/usr/sbin/pgbouncer")


class TcpServer:
    """A running server; `user` of the system runs it, and what stands before it."""

    def __init__(self, folder: Path, port: str, user: SystemUser | None) -> None:
        self.folder = folder
        self.port = port
        self.user = user

    def url(self, database: str = "postgres", query: str = "") -> str:
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}{query}"

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.url(database))
        try:
            for each in statements:
                await connection.execute(each)
        finally:
            await connection.close()

    def add_file(self, name: str, text: str) -> Path:
        """A file that the server may read, and no other user."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        give_to(path, self.user)
        return path


@asynccontextmanager
async def tcp_server(
    *options: str, debian: bool = False, certificate: bool = False
) -> AsyncIterator[TcpServer]:
    """Start one with settings like `--max_connections=20`; skips where it is not installed.

    Args:
        debian: PostgreSQL 15 of Debian instead of the embedded one.
        certificate: with TLS, by a certificate for `localhost` in `server.crt`.
    """
    binaries = DEBIAN_15 if debian or certificate else packaged_binaries()
    if not binaries.is_dir():
        pytest.skip(f"PostgreSQL 15 is not installed here ({binaries})")
    folder = Path(tempfile.mkdtemp(prefix="windlass-tcp-"))
    try:
        async with _started(folder, binaries, options, certificate=certificate) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _started(
    folder: Path, binaries: Path, options: Sequence[str], *, certificate: bool
) -> AsyncIterator[TcpServer]:
    programs = Programs(binaries, server_user(folder / "data"))
    server = TcpServer(folder, free_port(), programs.user)
    if programs.user is not None:
        make_readable(binaries.parent)
        for path in (binaries, folder / "data"):
            open_up(path, programs.user)
    await asyncio.to_thread(ensure_cluster, folder / "data", programs, durable=False)
    if certificate:
        options = (*options, *_certified(server))
    async with _running(server, programs, options):
        yield server


@asynccontextmanager
async def _running(
    server: TcpServer, programs: Programs, options: Sequence[str]
) -> AsyncIterator[None]:
    fixed = ("--listen_addresses=127.0.0.1", "--unix_socket_directories=", "--fsync=off")
    data = server.folder / "data"
    with (server.folder / "log").open("wb") as output:
        command = ("postgres", "-D", str(data), f"--port={server.port}", *fixed, *options)
        process = programs.spawn(*command, folder=data, output=output)
    try:
        await eventually(lambda: _answers(server), within_s=60, every_s=0.1)
        yield
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:
            process.kill()


async def _answers(server: TcpServer) -> bool:
    try:
        await server.execute("select")
    except (OSError, asyncpg.CannotConnectNowError):
        return False
    return True


def _certified(server: TcpServer) -> tuple[str, ...]:
    key, certificate = server.folder / "server.key", server.folder / "server.crt"
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
    )
    for path in (key, certificate):
        path.chmod(0o600)
        give_to(path, server.user)
    return ("--ssl=on", f"--ssl_key_file={key}", f"--ssl_cert_file={certificate}")


def _openssl(*arguments: str) -> None:
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("openssl is not installed here")
    subprocess.run([command, *arguments], check=True, capture_output=True)


@asynccontextmanager
async def pgbouncer(server: TcpServer, mode: str, **settings: str) -> AsyncIterator[TcpServer]:
    """A PgBouncer with its own defaults before a server; skips where it is not installed."""
    if not PGBOUNCER.exists():
        pytest.skip(f"PgBouncer is not installed here ({PGBOUNCER})")
    pooled = TcpServer(server.folder, free_port(), server.user)
    users = server.add_file(f"users-{pooled.port}", f'"{ROLE}" ""\n')
    text = _ini(
        {"*": f"host=127.0.0.1 port={server.port}"},
        {
            "listen_addr": "127.0.0.1",
            "listen_port": pooled.port,
            "auth_type": "trust",
            "auth_file": str(users),
            "pool_mode": mode,
            "unix_socket_dir": "",
            **settings,
        },
    )
    ini = server.add_file(f"pgbouncer-{pooled.port}.ini", text)
    with (server.folder / f"pgbouncer-{pooled.port}.log").open("wb") as output:
        programs = Programs(PGBOUNCER.parent, server.user)
        process = programs.spawn("pgbouncer", "-q", str(ini), folder=Path("/"), output=output)
    try:
        await eventually(lambda: _answers(pooled), within_s=60, every_s=0.1)
        yield pooled
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def _ini(databases: Mapping[str, str], settings: Mapping[str, str]) -> str:
    lines = ["[databases]", *(f"{k} = {v}" for k, v in databases.items())]
    return "\n".join([*lines, "[pgbouncer]", *(f"{k} = {v}" for k, v in settings.items()), ""])
