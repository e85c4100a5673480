from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from internal.bootstrap.health import StateFile, fault, report
from tests.support.conditions import eventually

TTL = timedelta(seconds=30)


@pytest.fixture
def state(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path)


def test_workers_that_beat_are_well(state: StateFile, tmp_path: Path) -> None:
    now = time.monotonic()
    state.write({"worker 1": now, "worker 2": now - 10})

    assert fault(tmp_path, TTL) is None


def test_a_worker_without_a_sign_of_life_is_named(state: StateFile, tmp_path: Path) -> None:
    now = time.monotonic()
    state.write({"worker 1": now, "worker 2": now - 16})

    assert fault(tmp_path, TTL) == "worker 2 has given no sign of life for 16 s"


def test_a_worker_that_starts_is_not_well_yet(state: StateFile, tmp_path: Path) -> None:
    state.write({"worker 1": None})

    assert fault(tmp_path, TTL) == "worker 1 has not begun to work"


def test_a_supervisor_that_stands_still_is_named(
    state: StateFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.monotonic() + 20
    state.write({"worker 1": later})
    monkeypatch.setattr(time, "monotonic", lambda: later)

    said = fault(tmp_path, TTL)

    assert said is not None
    assert f"supervisor (process {os.getpid()}) has stood still for 20 s" in said


def test_a_supervisor_that_has_just_stopped_writing_makes_no_worker_silent(
    state: StateFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    state.write({"worker 1": now - 10})
    monkeypatch.setattr(time, "monotonic", lambda: now + 6)

    assert fault(tmp_path, TTL) is None


def test_what_a_dead_supervisor_left_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "health").mkdir()
    left = tmp_path / "health" / "worker-1.json"
    left.write_text('{"pid": 1, "written_at": 0, "children": {"worker 1": 0}}')

    assert fault(tmp_path, TTL) == f"no worker runs with the data directory {tmp_path}"
    assert not left.exists()


def test_no_worker_at_all_is_a_fault(tmp_path: Path) -> None:
    assert fault(tmp_path, TTL) == f"no worker runs with the data directory {tmp_path}"


def test_shorter_text_replaces_longer_text(state: StateFile, tmp_path: Path) -> None:
    now = time.monotonic()
    state.write({f"worker {number}": now for number in range(100)})
    state.write({"worker 1": now})

    assert fault(tmp_path, TTL) is None


async def test_a_report_is_there_until_it_is_canceled(tmp_path: Path) -> None:
    reporting = asyncio.create_task(report(tmp_path, lambda: {"worker 1": time.monotonic()}))
    await eventually(lambda: fault(tmp_path, TTL) is None)

    reporting.cancel()
    await asyncio.wait([reporting])

    assert list((tmp_path / "health").iterdir()) == []


async def test_a_data_directory_that_cannot_be_written_stops_no_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    await report(tmp_path / "file", dict)

    assert "'windlass health worker' cannot be answered" in caplog.text
