"""The README's code works when it is pasted as it stands."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.conditions import eventually
from tests.support.serving import free_port, kill_postgres, windlass

README = (Path(__file__).parents[2] / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8080"

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed here")


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """A server with the README's handler, started as the README says."""
    assert "PYTHONPATH=. WINDLASS_HANDLERS=shop make run" in README
    (tmp_path / "shop.py").write_text(block("python", "@handler"))
    port = free_port()
    settings = {"PORT": port, "WINDLASS_DATA_DIR": str(tmp_path / "data")}
    try:
        async with windlass(
            "serve", PYTHONPATH=str(tmp_path), WINDLASS_HANDLERS="shop", **settings
        ) as serve:
            await serve.says("Windlass is ready")
            yield f"http://127.0.0.1:{port}"
            serve.press_ctrl_c()
            await serve.end()
    finally:
        kill_postgres(tmp_path / "data")


async def test_the_session_works_twice_and_then_runs_a_job_of_the_readers_own(url: str) -> None:
    session = block("sh", "/v1/signup")

    said = await paste(session, session, block("sh", "invoice"), 'echo "$TOKEN"', url=url)

    first, second, invoice = (json.loads(line)["data"] for line in said if line.startswith("{"))
    assert first["id"] != second["id"]
    assert (first["status"], first["attempts"], first["result"]) == ("succeeded", 1, {"answer": 42})
    assert second["status"] == "succeeded"
    assert said.count(f"{second['id']} is succeeded") == 1
    assert await result_of(invoice["id"], url=url, token=said[-1]) == {"total_cents": 2249}


def block(language: str, containing: str) -> str:
    """The one code block with these words."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (found,) = (each for each in blocks if containing in each)
    return found


async def paste(*blocks: str, url: str) -> list[str]:
    """What a shell says to these blocks, by line."""
    shell = await asyncio.create_subprocess_exec("sh", stdin=PIPE, stdout=PIPE)
    typed = "\n".join(blocks).replace(ADDRESS, url)
    said, _ = await shell.communicate(typed.encode())
    assert shell.returncode == 0
    return said.decode().splitlines()


async def result_of(job_id: str, *, url: str, token: str) -> Any:
    """A job's result, once it has succeeded."""
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers) as http:

        async def job() -> dict[str, Any]:
            data: dict[str, Any] = (await http.get(f"/v1/jobs/{job_id}")).json()["data"]
            return data

        async def has_succeeded() -> bool:
            return bool((await job())["status"] == "succeeded")

        await eventually(has_succeeded)
        return (await job())["result"]
