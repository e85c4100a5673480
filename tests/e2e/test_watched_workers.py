"""Workers whose handlers misbehave, watched by a supervisor; the tests share one `serve`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.conditions import eventually
from tests.support.customer import Customer, customer
from tests.support.serving import Windlass, free_port, is_gone, kill_postgres, windlass

ROOT = Path(__file__).parents[2]
ENDED = ("succeeded", "failed")


@pytest.fixture(scope="module")
async def settings() -> AsyncIterator[dict[str, str]]:
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-"))
    yield {
        "WINDLASS_DATA_DIR": str(folder),
        "PORT": free_port(),
        "WINDLASS_LEASE_TTL": "4s",
        "WINDLASS_SHUTDOWN_GRACE": "2s",
        "WINDLASS_HANDLERS": "tests.support.misbehaving",
        "WINDLASS_LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }
    kill_postgres(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
async def serve(settings: dict[str, str]) -> AsyncIterator[Windlass]:
    async with windlass("serve", **settings) as serve:
        await serve.says("Windlass is ready")
        await serve.says('"working"')
        yield serve
        serve.press_ctrl_c()
        assert await serve.end() == 0, serve.output


@pytest.fixture(scope="module")
async def ada(settings: dict[str, str], serve: Windlass) -> AsyncIterator[Customer]:
    async with customer(settings) as ada:
        await ada.sign_up()
        yield ada


def _worker_of(serve: Windlass) -> int:
    (worker,) = _workers_of(serve)
    return worker.pid


def _workers_of(serve: Windlass) -> list[psutil.Process]:
    """Without the isolated ones, which the end of a worker may have brought about."""
    isolated = serve.children(command="--alone")
    return [each for each in serve.children(command="worker") if each not in isolated]


async def _end_of(ada: Customer, job_id: str) -> dict[str, Any]:
    """The job once it has ended."""
    found: dict[str, Any] = {}

    async def has_ended() -> bool:
        found.update((await ada.client.get(f"/v1/jobs/{job_id}")).json()["data"])
        return found["status"] in ENDED

    await eventually(has_ended, within_s=90, every_s=0.1)
    return found


async def _run(ada: Customer, type_: str, **payload: Any) -> dict[str, Any]:
    (job_id,) = await ada.submit(1, type=type_, payload=payload, max_attempts=1)
    return await _end_of(ada, job_id)


def _logged(serve: Windlass, text: str, key: str = "event") -> list[dict[str, Any]]:
    whole = serve.output.rpartition("\n")[0].splitlines()
    lines = [json.loads(each) for each in whole if each.startswith("{")]
    return [line for line in lines if text in str(line.get(key, ""))]


@pytest.mark.parametrize("type_", ["in_thread", "to_thread"])
async def test_a_worker_that_can_start_no_thread_is_replaced_and_no_job_pays(
    serve: Windlass, ada: Customer, type_: str
) -> None:
    (before,) = _workers_of(serve)
    said_before = len(_logged(serve, "no thread can be started: this process ends"))
    await _run(ada, "thread_eater")
    in_need = await ada.submit(3, type=type_, max_attempts=1)

    for each in in_need:
        job = await _end_of(ada, each)
        assert (job["status"], job["attempts"], job["result"]) == ("succeeded", 0, "handler")
    assert is_gone(before)
    assert len(_logged(serve, "no thread can be started: this process ends")) == said_before + 1


async def test_a_handler_takes_no_threads_from_the_others(serve: Windlass, ada: Customer) -> None:
    worker = _worker_of(serve)
    assert (await _run(ada, "new_executor"))["status"] == "succeeded"

    job = await _run(ada, "to_thread")

    assert (job["status"], job["result"]) == ("succeeded", "handler")
    assert _worker_of(serve) == worker


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        ("spin", "the event loop stood still"),
        ("regex", "holds its interpreter (GIL)"),
        ("regex_on_loop", "holds its interpreter (GIL)"),
    ],
)
async def test_a_worker_that_a_handler_holds_is_replaced_and_the_handlers_job_pays(
    serve: Windlass, ada: Customer, type_: str, said: str
) -> None:
    before = _worker_of(serve)
    said_before = len(_logged(serve, said))
    job = await _run(ada, type_)
    beside = await ada.submit(3, type="mock")

    for each in beside:
        assert (await _end_of(ada, each))["status"] == "succeeded"
    assert job["status"] == "failed"
    await eventually(lambda: _workers_of(serve) != [])
    assert _worker_of(serve) != before
    (line, *_) = _logged(serve, said)[said_before:]
    assert line["types"] == [type_]
    assert line["job_ids"] == [job["id"]]
    assert type_ in line["stack"]


async def test_a_handler_that_blocks_the_loop_for_longer_than_a_lease_costs_nobody_a_lease(
    serve: Windlass, ada: Customer
) -> None:
    before = _worker_of(serve)
    neighbours = await ada.submit(20, type="mock", payload={"sleep_ms": 6000}, max_attempts=1)
    await eventually(partial(ada.has, "running", 20))
    blocking = await _run(ada, "sleep", seconds=5)

    ends = [(await _end_of(ada, each))["status"] for each in neighbours]
    assert ends == ["succeeded"] * 20
    assert blocking["status"] == "succeeded"
    assert {len(each) for each in await ada.attempts(neighbours)} == {1}
    assert _worker_of(serve) == before
    assert any(line["types"] == ["sleep"] for line in _logged(serve, "holds the event loop"))


async def test_a_stopped_worker_is_replaced_and_no_handler_is_blamed(
    serve: Windlass, ada: Customer
) -> None:
    before = _worker_of(serve)
    os.kill(before, signal.SIGSTOP)

    await serve.says("a signal stopped it")
    (job_id,) = await ada.submit(1, type="mock")
    assert (await _end_of(ada, job_id))["status"] == "succeeded"
    assert _worker_of(serve) != before


@pytest.mark.usefixtures("serve")
async def test_a_stopped_worker_of_a_command_of_its_own_is_replaced_too(
    settings: dict[str, str],
) -> None:
    async with windlass("worker", **settings) as command:
        await command.says('"working"')
        (worker,) = command.children(command="worker")
        worker.suspend()
        await command.says("a signal stopped it")
        await eventually(lambda: command.output.count('"working"') == 2, within_s=60)
        command.process.terminate()
        assert await command.end() == 0, command.output

    assert is_gone(worker)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
async def test_the_jobs_of_a_worker_that_dies_are_rescued_before_their_leases_run_out(
    serve: Windlass, ada: Customer, how: signal.Signals
) -> None:
    (job_id,) = await ada.submit(1, type="mock", payload={"sleep_ms": 1500})
    await eventually(partial(ada.has, "running"))
    os.kill(_worker_of(serve), how)

    job = await _end_of(ada, job_id)
    ((lost, succeeded),) = await ada.attempts([job_id])
    assert job["status"] == "succeeded"
    assert (lost["status"], succeeded["status"]) == ("lost", "succeeded")
    await serve.says(f"ended with {how.name}")


@pytest.mark.parametrize(
    ("type_", "payload", "result"),
    [
        ("stdin", {}, ["", ""]),
        ("stdin_on_loop", {}, ""),
        ("terminated_process", {}, -signal.SIGTERM),
        ("forked", {}, signal.SIGTERM),
        ("pools", {"count": 10}, 30),
        ("returns_in_child", {}, 0),
        ("connections", {}, []),
    ],
)
async def test_children_of_handlers_share_neither_input_nor_signals_nor_sockets(
    serve: Windlass, ada: Customer, type_: str, payload: dict[str, Any], result: object
) -> None:
    before = _worker_of(serve)
    job = await _run(ada, type_, **payload)

    assert (job["status"], job["result"]) == ("succeeded", result), job["last_error"]
    assert _worker_of(serve) == before


@pytest.mark.parametrize("by", ["exit", "interrupt"])
@pytest.mark.parametrize("where", ["task", "callback", "gather", "handler"])
async def test_an_exit_hurts_only_the_job_that_asks_for_it(
    serve: Windlass, ada: Customer, where: str, by: str
) -> None:
    before = _worker_of(serve)
    neighbours = await ada.submit(5, type="mock", payload={"sleep_ms": 500}, max_attempts=1)
    job = await _run(ada, "exit", **{"in": where, "by": by})

    assert job["status"] == ("failed" if where in {"gather", "handler"} else "succeeded")
    assert {(await _end_of(ada, each))["status"] for each in neighbours} == {"succeeded"}
    assert _worker_of(serve) == before


@pytest.mark.parametrize("how", ["group", "shell"])
async def test_a_signal_to_a_whole_group_reaches_the_worker_alone(
    serve: Windlass, ada: Customer, how: str
) -> None:
    api = serve.children(command="api")
    before = _worker_of(serve)
    job = await _run(ada, "dies", how=how)

    assert job["status"] == "failed"
    assert serve.children(command="api") == api
    assert serve.process.returncode is None
    await eventually(lambda: _workers_of(serve) != [])
    assert _worker_of(serve) != before


@pytest.mark.parametrize("name", ["completer", "producer"])
async def test_a_worker_whose_own_task_a_handler_cancels_says_so_and_is_replaced(
    serve: Windlass, ada: Customer, name: str
) -> None:
    before = _worker_of(serve)
    job = await _run(ada, "cancels_task", name=name)

    assert job["status"] == "failed"
    await serve.says(f"the task {name} ended while it was needed")
    await eventually(lambda: _workers_of(serve) != [])
    assert _worker_of(serve) != before


async def test_an_input_type_that_never_ends_refuses_its_payload_and_holds_up_no_request(
    serve: Windlass, ada: Customer
) -> None:
    api = serve.children(command="api")
    refused = asyncio.create_task(ada.client.post("/v1/jobs", json={"type": "stuck"}, timeout=60))
    await eventually(lambda: not refused.done())
    (job_id,) = await ada.submit(1, type="mock")

    assert (await _end_of(ada, job_id))["status"] == "succeeded"
    answer = await refused
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    await serve.says("has not read a payload")
    await eventually(
        lambda: [each["types"] for each in _logged(serve, "has not read a payload")] == [["stuck"]]
    )
    assert serve.children(command="api") == api


async def test_an_api_that_stands_still_is_replaced(serve: Windlass, ada: Customer) -> None:
    (api,) = serve.children(command="api")
    request = {"type": "held", "payload": {"text": "a" * 40 + "b"}}
    with pytest.raises(httpx.TransportError):
        await ada.client.post("/v1/jobs", json=request, timeout=120)

    await serve.says("replacing the API")
    await eventually(lambda: serve.children(command="api") not in ([], [api]), within_s=60)
    assert is_gone(api)
    await eventually(partial(_answers, ada), within_s=60)


async def _answers(ada: Customer) -> bool:
    try:
        return (await ada.client.get("/ready")).is_success
    except httpx.TransportError:
        return False


async def test_a_task_that_cannot_be_canceled_does_not_keep_a_worker_from_its_end(
    settings: dict[str, str], serve: Windlass, ada: Customer
) -> None:
    job = await _run(ada, "leaves_stubborn_task")
    worker = _workers_of(serve)
    os.kill(_worker_of(serve), signal.SIGTERM)

    assert job["status"] == "succeeded"
    await eventually(lambda: all(is_gone(each) for each in worker))
    await eventually(lambda: _workers_of(serve) != [])
