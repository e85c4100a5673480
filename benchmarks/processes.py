"""The processes of a run: each has a log, and none outlives the block that started it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.errors import BenchError
from benchmarks.places import LOGS, ROOT

STOP_S: Final = 20.0
LIMIT_S: Final = 300

Command = Sequence[str | Path]


@contextmanager
def running(
    name: str, command: Command, environment: Mapping[str, str], *, output: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for as long as the block lasts.

    It gets a session of its own, so that a Ctrl-C of the terminal reaches it through us alone,
    and a standard input that ends when we do.
    """
    with log_of(name).open("ab") as log:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=output or log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, and make it stop."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def answer(name: str, command: Command, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a process to its end and read the JSON line it closes with.

    Raises:
        BenchError: with the last line of its log, also when it does not end.
    """
    with (
        log_of(name).with_suffix(".out").open("w+b") as output,
        running(name, command, environment, output=output) as process,
    ):
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"{name} did not end within {LIMIT_S} s") from error
        output.seek(0)
        lines = output.read().decode().splitlines()
    if process.returncode != 0 or not lines:
        raise BenchError(f"{name} ended with {process.returncode}: {last_words(name)}")
    said: dict[str, Any] = json.loads(lines[-1])
    return said


def log_of(name: str) -> Path:
    """Where a process writes."""
    LOGS.mkdir(parents=True, exist_ok=True)
    return LOGS / f"{name}.log"


def last_words(name: str) -> str:
    """The last line of a log, and where the rest is."""
    path = log_of(name)
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return f"{lines[-1] if lines else 'it said nothing'} (more in {path.relative_to(ROOT)})"
