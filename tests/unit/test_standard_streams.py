from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from internal.bootstrap.exits import ExitCode
from tests.support.serving import without_settings

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


def test_a_command_that_cannot_write_its_answer_says_so_in_a_line() -> None:
    code = "from internal.bootstrap import cli, commands, output\n"
    code += "commands.migrate_version = lambda _: output.answer('database: 1')\n"
    ended = _run_into_full_disk(code, "migrate", "version")

    assert ended.returncode == ExitCode.UNUSABLE
    assert ended.stderr == "windlass: standard output cannot be written: No space left on device\n"


def test_the_health_of_workers_is_answered_by_the_exit_code_when_nothing_takes_it() -> None:
    code = "from internal.bootstrap import cli, health\n"
    code += "health.fault = lambda *_: None\n"
    ended = _run_into_full_disk(code, "health", "worker")

    assert (ended.returncode, ended.stderr) == (ExitCode.OK, "")


def _run_into_full_disk(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    main = "import sys\nsys.argv[0] = 'windlass'\ncli.main()\n"
    with Path("/dev/full").open("w") as full:
        return subprocess.run(
            [sys.executable, "-c", code + main, *arguments],
            env=without_settings() | {"WINDLASS_LOG_FORMAT": "text"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
