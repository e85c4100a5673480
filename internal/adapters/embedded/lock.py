from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from internal.adapters.embedded.errors import EmbeddedError


class DirectoryInUseError(EmbeddedError):
    """Another process holds the data directory."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        who = "another Windlass" if pid is None else f"another Windlass (pid {pid})"
        super().__init__(
            f"{who} uses {data_dir}: stop it, or set WINDLASS_DATA_DIR to another folder"
        )
        self.pid = pid


@contextmanager
def data_directory(data_dir: Path) -> Iterator[None]:
    """Make the folder if need be and hold it for this process alone.

    The lock ends with the process, however it ends; the file stays.

    Raises:
        DirectoryInUseError: when another process holds it.
        EmbeddedError: when the folder cannot be made or written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedError(
            f"cannot use the data directory {data_dir}: {error.strerror}; "
            "set WINDLASS_DATA_DIR to a folder that this user may write"
        ) from error
    try:
        _take(descriptor, data_dir)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, data_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode().strip()
        raise DirectoryInUseError(data_dir, int(holder) if holder else None) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
