from __future__ import annotations

import os
import secrets
from pathlib import Path

from internal.bootstrap.errors import StartError
from internal.bootstrap.values import MIN_SECRET_BYTES


def keep_secret(data_dir: Path) -> None:
    """Make the signing secret of a data directory once; the caller holds the directory.

    Raises:
        StartError: when it cannot be written.
    """
    if _file(data_dir).exists():
        return
    try:
        _make(_file(data_dir))
    except OSError as error:
        raise StartError(f"cannot write {_file(data_dir)}: {error.strerror}") from error


def _make(file: Path) -> None:
    """Under its name the secret is whole, also after a loss of power."""
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_hex(MIN_SECRET_BYTES).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.rename(file)


def kept_secret(data_dir: Path) -> str:
    """The secret that `keep_secret` made.

    Raises:
        StartError: when it cannot be read or is not whole.
    """
    try:
        found = _file(data_dir).read_text().strip()
    except OSError as error:
        raise StartError(f"cannot read {_file(data_dir)}: {error.strerror}") from error
    if len(found) < MIN_SECRET_BYTES:
        raise StartError(
            f"{_file(data_dir)} is damaged: remove it and start again; everyone logs in anew"
        )
    return found


def _file(data_dir: Path) -> Path:
    return data_dir / "jwt_secret"
