from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.installation import LONG


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints what a trial came to, where trials run for long."""

    def print_it(line: str) -> None:
        if LONG:
            with capsys.disabled():
                print(f"\n{line}")

    return print_it


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """For a PostgreSQL server with a user of its own.

    Each session of pytest closes pytest's folder to other users, also while another one runs.
    """
    folder = Path(tempfile.mkdtemp(prefix="windlass-test-"))
    yield folder
    shutil.rmtree(folder)
