"""A job that ends each process that runs it, beside jobs of two users, under `windlass serve`.

The tests share one server with a single worker; `make trials` has more jobs that take longer.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.support.conditions import eventually
from tests.support.customer import Customer, customer
from tests.support.installation import LONG, ROOT
from tests.support.serving import Windlass, free_port, kill_postgres, windlass

BYSTANDERS: Final = 20 if LONG else 6
WORK_MS: Final = 30_000 if LONG else 3_000
MAX_ATTEMPTS: Final = 10 if LONG else 2
MOST_ISOLATED: Final = 4
MOST_STARTS: Final = 4
PATIENCE_S: Final = 300

pytestmark = pytest.mark.timeout(600)


class Running(msgspec.Struct, frozen=True):
    """The server, and two users of it."""

    serve: Windlass
    ada: Customer
    eve: Customer


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Running]:
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-"))
    settings = {
        "PORT": free_port(),
        "PYTHONPATH": str(ROOT),
        "WINDLASS_DATA_DIR": str(folder),
        "WINDLASS_HANDLERS": "tests.support.misbehaving",
        "WINDLASS_LEASE_TTL": "4s",
        "WINDLASS_LOG_FORMAT": "json",
        "WINDLASS_SHUTDOWN_GRACE": "1s",
        "WINDLASS_WORKER_PROCESSES": "1",
    }
    async with AsyncExitStack() as stack:
        serve = await stack.enter_async_context(windlass("serve", **settings))
        await serve.says("Windlass is ready")
        users = []
        for name in ("ada", "eve"):
            users.append(await stack.enter_async_context(customer(settings)))
            await users[-1].sign_up(f"{name}@example.com")
        yield Running(serve, *users)
        serve.press_ctrl_c()
        assert await serve.end() == 0, serve.output
    kill_postgres(folder)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("kill", "ended with SIGKILL"),
        *(
            pytest.param(how, said, marks=pytest.mark.skipif(not LONG, reason="takes long"))
            for how, said in (
                ("exit", "ended with exit code 7"),
                ("segv", "ended with SIGSEGV"),
                ("terminate", "ended with exit code 0"),
                ("spin", "the event loop stood still"),
            )
        ),
    ],
)
async def test_a_job_that_ends_its_process_fails_by_its_own_count_and_no_other_pays(
    running: Running, report: Callable[[str], None], how: str, said: str
) -> None:
    half = {"type": "mock", "payload": {"sleep_ms": WORK_MS}}
    beside = [
        (running.ada, await running.ada.submit(BYSTANDERS // 2, **half, max_attempts=1)),
        (running.eve, await running.eve.submit(BYSTANDERS // 2, **half, max_attempts=3)),
    ]
    for user, ids in beside:
        await eventually(lambda user=user, ids=ids: user.has("running", len(ids)))  # type: ignore[misc]
    (poison,) = await running.ada.submit(
        1, type="dies", payload={"how": how}, max_attempts=MAX_ATTEMPTS
    )
    most_isolated = 0

    async def all_ended() -> bool:
        nonlocal most_isolated
        most_isolated = max(most_isolated, len(running.serve.children(command="--alone")))
        found = [await job(user, each) for user, ids in beside for each in ids]
        found.append(await job(running.ada, poison))
        return all(each["finished_at"] for each in found)

    await eventually(all_ended, within_s=PATIENCE_S, every_s=0.2)
    starts: list[int] = []
    for user, ids in beside:
        for each in ids:
            ended = await job(user, each)
            assert (ended["status"], ended["attempts"]) == ("succeeded", 0)
        starts += map(len, await user.attempts(ids))
    bad = await job(running.ada, poison)
    assert (bad["status"], bad["attempts"]) == ("failed", MAX_ATTEMPTS)
    assert said in running.serve.output
    assert most_isolated <= MOST_ISOLATED
    # Twice where the guess is right which job it was, which began last.
    assert max(starts) <= MOST_STARTS
    report(f"{how}: a bystander started up to {max(starts)} times; up to {most_isolated} isolated")


@pytest.mark.skipif(not LONG, reason="takes long")
async def test_an_isolated_worker_ends_when_there_is_nothing_for_it_to_do(running: Running) -> None:
    payload = {"how": "kill", "starts": 1}
    (once,) = await running.ada.submit(1, type="dies", payload=payload, max_attempts=1)

    async def has_succeeded() -> bool:
        return bool((await job(running.ada, once))["status"] == "succeeded")

    await eventually(has_succeeded, within_s=60, every_s=0.1)
    await eventually(lambda: not running.serve.children(command="--alone"), within_s=60)
    assert "the isolated worker ended with exit code 0" in running.serve.output


async def job(user: Customer, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await user.client.get(f"/v1/jobs/{job_id}")).json()["data"]
    return found
