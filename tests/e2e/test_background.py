"""A background task that fails ends its process, and says why."""

from __future__ import annotations

from pathlib import Path

from tests.support.serving import free_port, windlass

SETTINGS = {
    "WINDLASS_HANDLERS": "tests.support.sabotage",
    "WINDLASS_JWT_SECRET": "0123456789abcdef" * 4,
    "PYTHONPATH": str(Path(__file__).parents[2]),
}


async def test_an_api_whose_background_fails_ends_with_the_reason(database_url: str) -> None:
    settings = SETTINGS | {"DATABASE_URL": database_url, "PORT": free_port()}
    async with windlass("api", **settings) as api:
        code = await api.end()

    assert code == 1
    assert "RuntimeError: wake-ups are broken" in api.output


async def test_a_worker_whose_background_fails_is_started_again(database_url: str) -> None:
    settings = SETTINGS | {"DATABASE_URL": database_url}
    async with windlass("worker", **settings) as worker:
        await worker.says("ended with exit code 1: starting it again")
        worker.process.terminate()
        assert await worker.end() == 0

    assert "RuntimeError: wake-ups are broken" in worker.output
