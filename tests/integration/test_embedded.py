from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from internal.adapters.embedded import (
    DirectoryInUseError,
    EmbeddedError,
    EmbeddedServer,
    data_directory,
    running_dsn,
)
from internal.adapters.embedded import patience as patience_module
from internal.adapters.embedded import server as server_module
from internal.adapters.embedded.postmaster import postmaster, processes
from internal.adapters.embedded.programs import Programs, packaged_binaries
from internal.adapters.embedded.system_user import open_up, server_user
from tests.support.conditions import eventually

_UNSAFE = {"fsync": "off"}
_START_AND_WAIT = """
import sys, time
from pathlib import Path
from internal.adapters.embedded import EmbeddedServer
EmbeddedServer(Path(sys.argv[1]), options={"fsync": "off"}).start()
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def made_cluster() -> Iterator[Path]:
    """A data directory in which PostgreSQL ran before; the tests share it, as each stops it."""
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-"))
    (folder / "data").mkdir()
    server = EmbeddedServer(folder / "data", options=_UNSAFE)
    server.start()
    server.stop()
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(made_cluster: Path) -> Iterator[Path]:
    yield made_cluster
    left = processes(made_cluster / "postgres")
    for process in left:
        process.kill()
    psutil.wait_procs(left, timeout=60)


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(data_dir, options=_UNSAFE)
    yield server
    server.stop()


@pytest.fixture
def operators_server(data_dir: Path) -> Iterator[Path]:
    """The folder of the socket of a server that pg_ctl has started, which holds a file as well."""
    cluster = data_dir / "postgres"
    user = server_user(cluster)
    programs = Programs(packaged_binaries(), user)
    folder = Path(tempfile.mkdtemp(prefix="operator-"))
    (folder / "of the operator's").write_text("kept")
    log = folder / "log"
    log.touch()
    if user is not None:
        open_up(cluster, user)
        for each in (folder, log):
            os.chown(each, user.uid, user.gid)
    # Of one that was killed, whose pid may still be a zombie's.
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    options = f"-k {folder} -p 5499 -c listen_addresses='' -F"
    programs.run("pg_ctl", "-D", str(cluster), "-l", str(log), "-o", options, "-w", "start")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_first_start_makes_a_database_that_is_durable_and_hears_no_network() -> None:
    with tempfile.TemporaryDirectory(prefix="windlass-test-") as folder:
        server = EmbeddedServer(Path(folder))
        dsn = server.start()
        settings = {
            name: _ask(dsn, f"SHOW {name}")
            for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
        }
        database = _ask(dsn, "SELECT current_database() || ' ' || getdatabaseencoding()")
        server.stop()

    assert settings == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
    }
    assert database == "windlass UTF8"


def test_only_the_owner_reaches_the_cluster_and_its_socket(
    server: EmbeddedServer, data_dir: Path
) -> None:
    server.start()

    cluster = data_dir / "postgres"
    assert stat.S_IMODE(cluster.stat().st_mode) == 0o700
    assert stat.S_IMODE((cluster / ".s.PGSQL.5432").stat().st_mode) == 0o700
    assert stat.S_IMODE((data_dir / "postgres.log").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has PostgreSQL run by another user")
def test_as_root_the_folders_above_are_opened_for_passing_through_only(
    server: EmbeddedServer, data_dir: Path
) -> None:
    data_dir.parent.chmod(0o700)

    server.start()

    assert stat.S_IMODE(data_dir.parent.stat().st_mode) == 0o701


def test_a_stop_leaves_no_process(server: EmbeddedServer, data_dir: Path) -> None:
    server.start()

    server.stop()

    assert processes(data_dir / "postgres") == []
    assert running_dsn(data_dir) is None


def test_a_stop_does_not_wait_for_clients(server: EmbeddedServer, data_dir: Path) -> None:
    async def stop_while_connected() -> None:
        connection = await asyncpg.connect(server.start())
        await connection.execute("BEGIN")
        await asyncio.to_thread(server.stop)
        connection.terminate()

    asyncio.run(stop_while_connected())

    assert processes(data_dir / "postgres") == []


def test_a_hung_server_is_stopped_the_hard_way(
    server: EmbeddedServer, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = ((signal.SIGINT, 0.1), (signal.SIGQUIT, 0.1), (signal.SIGKILL, 60))
    monkeypatch.setattr(server_module, "_STOPS", stops)
    server.start()
    _running(data_dir).suspend()

    server.stop()

    assert postmaster(data_dir / "postgres") is None


def test_a_server_that_survived_the_kill_of_its_starter_is_adopted(
    server: EmbeddedServer, data_dir: Path
) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", _START_AND_WAIT, str(data_dir)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        survivor = _running(data_dir)
        os.killpg(starter.pid, signal.SIGKILL)

    dsn = server.start()

    assert _running(data_dir) == survivor
    assert _ask(dsn, "SELECT 1") == 1
    server.stop()
    assert not survivor.is_running()


def test_a_server_of_the_operators_is_used_and_left_running_with_its_folder(
    server: EmbeddedServer, operators_server: Path, data_dir: Path
) -> None:
    dsn = server.start()

    assert _ask(dsn, "SELECT current_database()") == "windlass"
    assert _ask(dsn, "SHOW port") == "5499"
    running = _running(data_dir)
    server.stop()
    server.stop()

    assert _running(data_dir) == running
    assert (operators_server / "of the operator's").read_text() == "kept"
    assert (operators_server / ".s.PGSQL.5499").is_socket()


def test_an_operators_server_that_died_costs_its_folder_nothing(
    server: EmbeddedServer, operators_server: Path, data_dir: Path
) -> None:
    server.start()
    for process in processes(data_dir / "postgres"):
        process.kill()

    server.stop()

    assert (operators_server / "of the operator's").read_text() == "kept"


def test_after_an_operators_server_ours_is_started_and_stopped(
    server: EmbeddedServer, operators_server: Path, data_dir: Path
) -> None:
    server.start()
    _running(data_dir).send_signal(signal.SIGINT)
    _running(data_dir).wait(60)

    assert _ask(server.start(), "SHOW port") == "5432"
    server.stop()

    assert processes(data_dir / "postgres") == []
    assert (operators_server / "of the operator's").read_text() == "kept"


def test_a_stop_by_another_object_ends_our_server_and_no_other(
    operators_server: Path, data_dir: Path
) -> None:
    EmbeddedServer(data_dir, options=_UNSAFE).stop()

    assert _running(data_dir).is_running()
    assert operators_server.is_dir()


def test_what_was_committed_survives_a_killed_server(
    server: EmbeddedServer, data_dir: Path
) -> None:
    _execute(server.start(), "CREATE TABLE kept AS SELECT 42 AS answer")
    for process in processes(data_dir / "postgres"):
        process.kill()

    assert _ask(server.start(), "SELECT answer FROM kept") == 42


def test_a_start_waits_for_what_an_earlier_server_left_running(
    server: EmbeddedServer, data_dir: Path
) -> None:
    """Backends notice the death of their postmaster a moment later."""

    async def kill_below_a_client() -> None:
        connection = await asyncpg.connect(server.start())
        _running(data_dir).kill()
        connection.terminate()

    asyncio.run(kill_below_a_client())

    assert _ask(server.start(), "SELECT 1") == 1


def test_a_process_that_got_the_pid_of_a_dead_server_is_not_taken_for_it(
    server: EmbeddedServer, data_dir: Path
) -> None:
    server.start()
    pid_file = data_dir / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    user = server_user(data_dir / "postgres")
    with subprocess.Popen(["sleep", "600"], user=user.uid if user else None) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))

        assert running_dsn(data_dir) is None
        assert _ask(server.start(), "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_long_recovery_is_waited_for_and_said(
    server: EmbeddedServer,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(patience_module, "_NOTICE_EVERY_S", 0.05)
    caplog.set_level(logging.INFO)
    server.start()
    pid_file = data_dir / "postgres" / "postmaster.pid"
    ready = pid_file.read_text()
    pid_file.write_text(ready.replace("ready   ", "starting"))

    async def start_again() -> str:
        start = asyncio.create_task(asyncio.to_thread(EmbeddedServer(data_dir).start))
        await eventually(lambda: "still recovering" in caplog.text)
        pid_file.write_text(ready)
        return await start

    assert _ask(asyncio.run(start_again()), "SELECT 1") == 1


@pytest.mark.parametrize("name", ["d" * 120, "with space, comma and 'quote'", "ünïcode"])
def test_any_folder_name_will_do(data_dir: Path, name: str) -> None:
    folder = data_dir.rename(data_dir.with_name(name))
    server = EmbeddedServer(folder, options=_UNSAFE)
    try:
        dsn = server.start()

        assert _ask(dsn, "SELECT current_database()") == "windlass"
        socket = Path(str(_ask(dsn, "SHOW unix_socket_directories")))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    finally:
        server.stop()
        folder.rename(data_dir)
    assert not socket.exists()


def test_half_a_cluster_is_made_anew(data_dir: Path) -> None:
    half = data_dir.parent / "half"
    (half / "postgres.new" / "base").mkdir(parents=True)
    server = EmbeddedServer(half, options=_UNSAFE)

    assert _ask(server.start(), "SELECT 1") == 1
    server.stop()


def test_a_server_that_cannot_start_says_why_in_one_line(
    server: EmbeddedServer, data_dir: Path
) -> None:
    settings = data_dir / "postgres" / "postgresql.auto.conf"
    settings.write_text("max_connections = many\n")

    with pytest.raises(EmbeddedError, match=r"PostgreSQL did not start: .*FATAL") as raised:
        server.start()

    assert "\n" not in str(raised.value)
    settings.write_text("")


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(EmbeddedError, match=r"cannot use the data directory .*WINDLASS_DATA_DIR"),
        data_directory(tmp_path / "file" / "data"),
    ):
        pass


def test_a_data_directory_has_one_user_at_a_time(tmp_path: Path) -> None:
    refused = pytest.raises(DirectoryInUseError, match=f"another Windlass .pid {os.getpid()}.")
    with data_directory(tmp_path), refused, data_directory(tmp_path):
        pass

    with data_directory(tmp_path):
        pass


def _running(data_dir: Path) -> psutil.Process:
    process = postmaster(data_dir / "postgres")
    assert process is not None
    return process


def _ask(dsn: str, query: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(ask())


def _execute(dsn: str, statement: str) -> None:
    _ask(dsn, statement)
