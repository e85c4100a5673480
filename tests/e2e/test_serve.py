from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from internal.adapters.embedded import running_dsn
from internal.adapters.embedded.postmaster import postmaster, processes
from tests.support.conditions import eventually
from tests.support.serving import free_port, is_gone, kill_postgres, windlass

_READY = "Windlass is ready"
_SECRET = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def made_dir() -> Iterator[Path]:
    """The tests share a data directory, so that PostgreSQL is set up once."""
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def settings(made_dir: Path) -> Iterator[dict[str, str]]:
    yield {"WINDLASS_DATA_DIR": str(made_dir), "PORT": free_port()}
    kill_postgres(made_dir)


async def test_ctrl_c_stops_everything_that_serve_started(
    settings: dict[str, str], made_dir: Path
) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says(f"{_READY}: open http://127.0.0.1:{settings['PORT']} in a browser")
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{settings['PORT']}/ready")
        children = serve.children()
        serve.press_ctrl_c()
        code = await serve.end()

    assert answer.status_code == 200
    assert code == 0
    assert len(children) == 2
    _assert_all_gone(children, made_dir)
    assert serve.output.rstrip().endswith("Windlass has stopped.")
    assert "Traceback" not in serve.output


async def test_sigterm_stops_everything_too(settings: dict[str, str], made_dir: Path) -> None:
    async with windlass("serve", WINDLASS_WORKER_PROCESSES="2", **settings) as serve:
        await serve.says(_READY)
        children = serve.children()
        serve.process.terminate()
        code = await serve.end()

    assert code == 0
    assert len(children) == 3
    _assert_all_gone(children, made_dir)


async def test_a_stop_during_the_start_leaves_nothing_behind(
    settings: dict[str, str], made_dir: Path
) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says("starting PostgreSQL")
        serve.press_ctrl_c()
        code = await serve.end()

    assert code == 0
    assert processes(made_dir / "postgres") == []
    assert "Traceback" not in serve.output


async def test_a_ctrl_c_while_the_children_start_is_quiet(
    settings: dict[str, str], made_dir: Path
) -> None:
    async with windlass("serve", **settings) as serve:
        await eventually(lambda: len(serve.children()) == 2)
        serve.press_ctrl_c()
        code = await serve.end()

    assert code == 0
    assert processes(made_dir / "postgres") == []
    assert "Traceback" not in serve.output


async def test_a_second_ctrl_c_ends_what_does_not_stop(
    settings: dict[str, str], made_dir: Path
) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)
        children = serve.children()
        for child in children:
            child.suspend()
        serve.press_ctrl_c()
        await serve.says("stopping")
        serve.press_ctrl_c()
        code = await serve.end()

    assert code == 0
    _assert_all_gone(children, made_dir)


async def test_after_a_kill_of_the_whole_group_the_next_start_goes_on(
    settings: dict[str, str], made_dir: Path
) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)
        children = serve.children()
        survivor = postmaster(made_dir / "postgres")
    await eventually(lambda: all(is_gone(child) for child in children))

    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)
        assert survivor is not None
        assert postmaster(made_dir / "postgres") == survivor
        serve.press_ctrl_c()
        await serve.end()

    assert processes(made_dir / "postgres") == []


async def test_the_children_end_by_themselves_when_the_supervisor_is_killed(
    settings: dict[str, str],
) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)
        children = serve.children()
        serve.process.kill()
        await serve.process.wait()

        await eventually(lambda: all(is_gone(child) for child in children))

    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)
        serve.press_ctrl_c()
        await serve.end()


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_a_child_that_dies_is_started_again(settings: dict[str, str], command: str) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)
        [child] = serve.children(command=command)
        child.kill()

        await serve.says("ended with SIGKILL: starting it again")
        await eventually(lambda: serve.children(command=command) not in ([], [child]))
        serve.press_ctrl_c()
        assert await serve.end() == 0, serve.output


async def test_a_postgres_that_dies_is_started_again(
    settings: dict[str, str], made_dir: Path
) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)
        kill_postgres(made_dir)

        await serve.says("PostgreSQL ended: starting it again")
        await eventually(lambda: _answers(made_dir))
        serve.press_ctrl_c()
        assert await serve.end() == 0, serve.output


async def test_the_other_commands_find_the_embedded_server_of_a_running_serve(
    settings: dict[str, str],
) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)

        message = await _refusal("admin", "grant", "eve@example.com", **settings)
        async with windlass("worker", **settings) as worker:
            await worker.says("working")
            worker.process.terminate()
            code = await worker.end()

        serve.press_ctrl_c()
        await serve.end()

    assert "nobody has signed up as eve@example.com" in message
    assert code == 0


async def test_a_command_starts_the_embedded_server_for_as_long_as_it_takes(
    settings: dict[str, str], made_dir: Path
) -> None:
    async with windlass("migrate", "version", **settings) as command:
        assert await command.end() == 0

    assert "newest:" in command.output
    assert processes(made_dir / "postgres") == []


async def test_a_bad_handler_module_is_one_clear_line_and_ends_everything(
    settings: dict[str, str], made_dir: Path
) -> None:
    async with windlass("serve", WINDLASS_HANDLERS="no.such.module", **settings) as serve:
        assert await serve.end() != 0

    assert "windlass: WINDLASS_HANDLERS: " in serve.output
    assert "no.such.module" in serve.output
    assert "Traceback" not in serve.output
    assert processes(made_dir / "postgres") == []


async def test_a_data_directory_serves_one_windlass(settings: dict[str, str]) -> None:
    async with windlass("serve", **settings) as first:
        await first.says(_READY)

        message = await _refusal("serve", **settings)

        assert f"another Windlass (pid {first.process.pid}) uses" in message
        first.press_ctrl_c()
        await first.end()


async def test_a_taken_port_is_one_clear_line(settings: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = await _refusal("serve", **settings | {"PORT": port})

    assert f"port {port} on 127.0.0.1 is taken: set PORT" in message


async def test_an_unwritable_data_directory_is_one_clear_line(
    settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    message = await _refusal(
        "serve", **settings | {"WINDLASS_DATA_DIR": str(tmp_path / "file" / "data")}
    )

    assert "cannot use the data directory" in message
    assert "set WINDLASS_DATA_DIR" in message


@pytest.mark.parametrize("command", ["serve", "api", "worker"])
async def test_an_unreachable_database_is_one_clear_line(command: str) -> None:
    message = await _refusal(
        command,
        DATABASE_URL=f"postgresql://ada:hunter2@127.0.0.1:{free_port()}/jobs",
        WINDLASS_JWT_SECRET=_SECRET,
        PORT=free_port(),
    )

    assert "cannot reach the database postgresql://***@127.0.0.1" in message
    assert "check DATABASE_URL" in message


@pytest.mark.parametrize("command", ["serve", "api", "worker"])
async def test_a_database_of_a_newer_windlass_is_one_clear_line(
    database_url: str, command: str
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()

    message = await _refusal(
        command, DATABASE_URL=database_url, WINDLASS_JWT_SECRET=_SECRET, PORT=free_port()
    )

    assert "the database is at revision 9999, which this Windlass does not know" in message


@pytest.mark.parametrize("command", ["serve", "api"])
async def test_a_missing_secret_is_one_clear_line(database_url: str, command: str) -> None:
    message = await _refusal(command, DATABASE_URL=database_url)

    assert "WINDLASS_JWT_SECRET is required with DATABASE_URL" in message


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_a_process_without_a_database_is_one_clear_line(tmp_path: Path, command: str) -> None:
    message = await _refusal(command, WINDLASS_DATA_DIR=str(tmp_path))

    assert "set DATABASE_URL, or start 'windlass serve'" in message


async def _refusal(*arguments: str, **settings: str) -> str:
    """What a command says that must refuse in one line."""
    async with windlass(*arguments, **settings) as command:
        assert await command.end() != 0
    lines = [line for line in command.output.splitlines() if line.startswith("windlass: ")]
    assert len(lines) == 1, command.output
    assert "Traceback" not in command.output
    assert "hunter2" not in command.output
    return lines[0]


async def _answers(data_dir: Path) -> bool:
    dsn = running_dsn(data_dir)
    try:
        connection = await asyncpg.connect(dsn) if dsn else None
    except (OSError, asyncpg.PostgresError):
        return False
    if connection is None:
        return False
    await connection.close()
    return True


def _assert_all_gone(children: list[psutil.Process], data_dir: Path) -> None:
    assert all(is_gone(child) for child in children)
    assert processes(data_dir / "postgres") == []
