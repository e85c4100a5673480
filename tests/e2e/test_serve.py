from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from internal.adapters.embedded.postmaster import postmaster, processes
from tests.support.conditions import eventually
from tests.support.serving import free_port, is_gone, kill_postgres, refused, windlass

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


async def test_the_children_end_by_themselves_when_the_supervisor_is_killed(
    settings: dict[str, str],
) -> None:
    async with windlass("serve", **settings) as serve:
        await serve.says(_READY)
        children = serve.children()
        serve.process.kill()
        await serve.process.wait()

        await eventually(lambda: all(is_gone(child) for child in children))


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

    lines = [told for line in serve.output.splitlines() if (told := refused(line))]
    assert any("WINDLASS_HANDLERS: " in line and "no.such.module" in line for line in lines)
    assert "Traceback" not in serve.output
    assert processes(made_dir / "postgres") == []


def _assert_all_gone(children: list[psutil.Process], data_dir: Path) -> None:
    assert all(is_gone(child) for child in children)
    assert processes(data_dir / "postgres") == []
