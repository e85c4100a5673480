"""An API process on a machine whose clock is wrong, by `libfaketime`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.support.conditions import eventually
from tests.support.serving import free_port, windlass

_SECRET = "0123456789abcdef" * 4
_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@pytest.mark.skipif(not _LIBRARIES, reason="libfaketime is not installed here")
@pytest.mark.parametrize("days", [20, -40, 5])
async def test_a_wrong_clock_is_named_and_jobs_have_the_databases_day(
    database_url: str, tmp_path: Path, days: int
) -> None:
    clock = tmp_path / "clock"
    clock.write_text(f"{days:+}d\n")
    port = free_port()
    async with (
        windlass(
            "api",
            DATABASE_URL=database_url,
            WINDLASS_JWT_SECRET=_SECRET,
            PORT=port,
            LD_PRELOAD=str(_LIBRARIES[0]),
            FAKETIME_TIMESTAMP_FILE=str(clock),
            FAKETIME_NO_CACHE="1",
            DONT_FAKE_MONOTONIC="1",
        ) as api,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        await eventually(lambda: _answers(client, "/ready"), within_s=90, every_s=0.1)
        wrong = [await _job(client) for _ in range(3)]
        clock.write_text("+0d\n")
        right = [await _job(client) for _ in range(3)]

        async def agree() -> bool:
            await _answers(client, "/ready")  # compares; an answer that took long says nothing
            return "this machine's clock agrees with the database's again" in api.output

        await eventually(agree, within_s=90, every_s=0.5)

    for made in wrong + right:
        assert abs(_time_of(made) - datetime.now(UTC)) < timedelta(minutes=5)
    assert wrong + right == sorted(wrong + right)
    assert "this machine's clock differs from the database's" in api.output


async def _answers(client: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path)).status_code == 200
    except httpx.TransportError:
        return False


async def _job(client: httpx.AsyncClient) -> UUID:
    """Submit one as a user of the moment: a token is dated by the API's clock."""
    email = f"{datetime.now(UTC).timestamp()}@example.com"
    signup = {"email": email, "password": "correct horse"}
    session = (await client.post("/v1/signup", json=signup)).json()["data"]
    answer = await client.post(
        "/v1/jobs",
        json={"type": "mock", "payload": {}},
        headers={"Authorization": f"Bearer {session['access_token']}"},
    )
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["data"]["id"])


def _time_of(made: UUID) -> datetime:
    return datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)
