"""The folders of a cluster, owned by whoever runs the server and closed to others."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from internal.adapters.embedded.errors import EmbeddedError
from internal.adapters.embedded.programs import Programs
from internal.adapters.embedded.system_user import SystemUser

PORT: Final = 5432
ROLE: Final = "windlass"

# 107 bytes on Linux, 103 on macOS and the BSDs, without the closing NUL.
_LONGEST_SOCKET_PATH: Final = 103
# PostgreSQL and its clients split lists of folders at commas and quote some others.
_PLAIN: Final = re.compile(r"[\w./-]+", re.ASCII)


def ensure_cluster(cluster: Path, programs: Programs, *, durable: bool) -> None:
    """Make the cluster once, under another name first: half of one is never taken for whole."""
    if cluster.exists():
        return
    unfinished = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    give_to(unfinished, programs.user)
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={ROLE}"]
    programs.run("initdb", *options, *([] if durable else ["--no-sync"]), f"--pgdata={unfinished}")
    unfinished.rename(cluster)
    _sync_folder(cluster.parent)


def socket_folder(cluster: Path, user: SystemUser | None) -> Path:
    """Where the socket goes: the cluster folder, or a private folder with a short name.

    Raises:
        EmbeddedError: when somebody else made the short folder.
    """
    if _is_fit(cluster):
        return cluster
    short = Path(tempfile.gettempdir(), _short_name(cluster))
    if not _is_fit(short):
        raise EmbeddedError(f"{short} is too long a path for a socket: set TMPDIR to a shorter one")
    try:
        short.mkdir(mode=0o700)
    except FileExistsError:
        _refuse_foreign(short, user)
    else:
        give_to(short, user)
    return short


def is_own_folder(cluster: Path, folder: Path) -> bool:
    """Whether `socket_folder` has given this folder, under whatever TMPDIR."""
    return folder == cluster or folder.name == _short_name(cluster)


def give_to(folder: Path, user: SystemUser | None) -> None:
    """Make the user who runs the server the owner."""
    if user is not None:
        os.chown(folder, user.uid, user.gid)


def _short_name(cluster: Path) -> str:
    return f"windlass-{hashlib.sha256(os.fsencode(cluster)).hexdigest()[:12]}"


def _is_fit(folder: Path) -> bool:
    socket = os.fsencode(folder / f".s.PGSQL.{PORT}")
    return len(socket) <= _LONGEST_SOCKET_PATH and _PLAIN.fullmatch(str(folder)) is not None


def _refuse_foreign(folder: Path, user: SystemUser | None) -> None:
    """Whoever owns the folder of a socket can put another server there."""
    status = folder.lstat()
    owner = os.geteuid() if user is None else user.uid
    if status.st_uid != owner or status.st_mode != stat.S_IFDIR | 0o700:
        raise EmbeddedError(f"{folder} is not a private folder of ours: remove it, or set TMPDIR")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
