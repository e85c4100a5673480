from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

# What `main` does first, and then what a library may do at any time.
BEGINS: Final = """
import os, sys
from internal.bootstrap import cli
cli._open_standard_streams()
print("to standard output")
print("to standard error", file=sys.stderr)
null = os.stat(os.devnull).st_rdev
with open(sys.argv[1], "w") as answer:
    answer.write(repr([os.fstat(number).st_rdev == null for number in range(3)]))
"""


def test_streams_that_a_shell_has_closed_lead_nowhere_and_are_no_file_of_ours(
    tmp_path: Path,
) -> None:
    answer = tmp_path / "answer"
    closed = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-']
    subprocess.run([*closed, sys.executable, "-c", BEGINS, str(answer)], check=True)

    assert answer.read_text() == "[True, True, True]"
