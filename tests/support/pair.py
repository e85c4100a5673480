"""A primary and its synchronous standby on loopback ports, which take over from each other."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

from internal.adapters.embedded.cluster import ROLE, ensure_cluster
from internal.adapters.embedded.postmaster import processes
from internal.adapters.embedded.programs import Programs, packaged_binaries
from internal.adapters.embedded.system_user import make_readable, open_up, server_user
from tests.support.conditions import eventually
from tests.support.serving import free_port

_HOST: Final = "127.0.0.1"
_OPTIONS: Final = {
    "listen_addresses": _HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "wal_keep_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
}
_START_S: Final = 60
# What takes care of such pairs needs a while to see that a primary is dead.
_NOTICED_AFTER_S: Final = 1.0
_STREAMS: Final = "select exists (select from pg_stat_replication where state = 'streaming')"
_IS_SYNCHRONOUS: Final = (
    "select exists (select from pg_stat_replication where sync_state in ('sync', 'quorum'))"
)


class Node:
    """One server, in whichever role."""

    def __init__(self, cluster: Path, programs: Programs) -> None:
        self.cluster = cluster
        self.port = int(free_port())
        self._programs = programs
        self._process: psutil.Popen | None = None

    def url(self, database: str = "windlass") -> str:
        """Where this server answers."""
        return f"postgresql://{ROLE}@{_HOST}:{self.port}/{database}"

    async def start(self) -> None:
        """Start it in the role that its folder says, and wait until it answers."""
        options = [f"--{name}={value}" for name, value in {**_OPTIONS, "port": self.port}.items()]
        with self.cluster.with_suffix(".log").open("ab") as output:
            self._process = self._programs.spawn(
                "postgres", "-D", str(self.cluster), *options, folder=self.cluster, output=output
            )
        await eventually(self._answers, within_s=_START_S, every_s=0.05)

    async def kill(self) -> None:
        """By SIGKILL, every process of it."""
        while left := processes(self.cluster):
            for each in left:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            await asyncio.sleep(0.01)
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def ask(self, query: str, *, database: str = "postgres") -> Any:
        """The first value that a statement gives."""
        connection = await asyncpg.connect(self.url(database), timeout=10)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    async def set(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        await self.ask(f"alter system set {name} = '{value}'")
        await self.ask("select pg_reload_conf()")

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.cluster.with_suffix(".log").read_text()[-2000:]
        try:
            return bool(await self.ask("select true"))
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
            return False


class Pair:
    """While there is a standby, a commit waits until it is on the standby's disk too."""

    def __init__(self, folder: Path) -> None:
        binaries = packaged_binaries()
        self._programs = Programs(binaries, server_user(folder / "a"))
        self.primary = Node(folder / "a", self._programs)
        self.standby = Node(folder / "b", self._programs)

    @property
    def url(self) -> str:
        """For clients, who find the primary by themselves."""
        ports = f"{self.primary.port},{self.standby.port}"
        return (
            f"postgresql://{ROLE}@/windlass?host={_HOST},{_HOST}&port={ports}"
            "&target_session_attrs=read-write"
        )

    async def start(self) -> None:
        """Make both, with an empty database."""
        if self._programs.user is not None:
            make_readable(self._programs.binaries.parent)
            open_up(self._programs.binaries, self._programs.user)
            open_up(self.primary.cluster, self._programs.user)
        ensure_cluster(self.primary.cluster, self._programs, durable=False)
        await self.primary.start()
        await self.primary.ask("create database windlass")
        await self.add_standby()

    async def add_standby(self) -> None:
        """Copy the primary to the other node; commits wait for it from then on."""
        shutil.rmtree(self.standby.cluster, ignore_errors=True)
        await asyncio.to_thread(self._copy)
        await self.standby.start()
        await eventually(lambda: self.primary.ask(_STREAMS), within_s=_START_S, every_s=0.05)
        await self.primary.set("synchronous_standby_names", "*")
        await eventually(lambda: self.primary.ask(_IS_SYNCHRONOUS), within_s=_START_S, every_s=0.05)

    async def fail_over(self) -> None:
        """Kill the primary; promote the standby, whose commits wait for no other."""
        await self.primary.kill()
        await asyncio.sleep(_NOTICED_AFTER_S)
        await self.standby.ask("select pg_promote(true, 60)")
        self.primary, self.standby = self.standby, self.primary

    async def stop(self) -> None:
        await self.primary.kill()
        await self.standby.kill()

    def _copy(self) -> None:
        target = self.standby.cluster
        target.mkdir(mode=0o700)
        if self._programs.user is not None:
            shutil.chown(target, self._programs.user.uid, self._programs.user.gid)
        self._programs.run(
            "pg_basebackup",
            f"--dbname={self.primary.url('postgres')}",
            f"--pgdata={target}",
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--no-sync",
        )
