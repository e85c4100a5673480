"""What a process that cannot start, or that crashes, leaves in its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import free_port, refusal, windlass

_SECRET = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["serve"], {"PORT": "http"}),
        (
            ["api"],
            {"DATABASE_URL": "postgresql://127.0.0.1:1/jobs", "WINDLASS_JWT_SECRET": _SECRET},
        ),
        (["migrate", "up"], {"DATABASE_URL": "postgresql://127.0.0.1:1/jobs"}),
        (["worker"], {"WINDLASS_DATA_DIR": "/nonexistent/data"}),
    ],
)
async def test_a_refusal_is_one_line_of_json_in_json_logs(
    arguments: list[str], settings: dict[str, str]
) -> None:
    async with windlass(*arguments, **settings, WINDLASS_LOG_FORMAT="json") as command:
        assert await command.end() == 78

    (line,) = _lines(command.output)
    assert line["level"] == "error"
    assert line["event"]


async def test_a_refusal_is_text_in_text_logs() -> None:
    message = await refusal("serve", PORT="http", WINDLASS_LOG_FORMAT="text")

    assert message.startswith("windlass: PORT='http' must be")


@pytest.mark.parametrize("command", ["api", "worker"])
async def test_a_crash_is_one_line_of_json_with_its_stack(
    database_url: str, tmp_path: Path, command: str
) -> None:
    # A base exception passes the checks that handlers' modules meet at the start.
    (tmp_path / "crashing.py").write_text("raise BaseException('no good')\n")

    async with windlass(
        command,
        DATABASE_URL=database_url,
        WINDLASS_JWT_SECRET=_SECRET,
        WINDLASS_HANDLERS="crashing",
        WINDLASS_DATA_DIR=str(tmp_path),
        PYTHONPATH=str(tmp_path),
        PORT=free_port(),
    ) as process:
        await process.says("crashing.py")

    crash = next(line for line in _lines(process.output) if "exception" in line)
    assert "no good" in crash["exception"]
    assert "crashing.py" in crash["exception"]
    assert crash["level"] in ("critical", "error")


def _lines(output: str) -> list[dict[str, Any]]:
    """Those that are whole: a process that is killed may leave a piece of one."""
    return [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]
