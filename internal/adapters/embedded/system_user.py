"""PostgreSQL refuses to run as root; where we are root, a user of the system runs it."""

from __future__ import annotations

import logging
import os
import pwd
import stat
import subprocess
from pathlib import Path

import msgspec

from internal.adapters.embedded.errors import EmbeddedError

NAME = "windlass-postgres"

_log = logging.getLogger(__name__)


class SystemUser(msgspec.Struct, frozen=True):
    """Whoever runs the server, by the numbers of the system."""

    uid: int
    gid: int


def server_user(cluster: Path) -> SystemUser | None:
    """The user to run the server as: ourselves (None), or where we are root, the cluster's owner.

    For a cluster that is yet to be made it is a user of our own, made if missing.

    Raises:
        EmbeddedError: when the user cannot be made.
    """
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (status := cluster.stat()).st_uid != 0:
        return SystemUser(status.st_uid, status.st_gid)
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _make()
    return SystemUser(entry.pw_uid, entry.pw_gid)


def _make() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", NAME]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - a constant
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip()
        raise EmbeddedError(
            f"PostgreSQL cannot run as root, and the user {NAME} cannot be made ({reason}): "
            "start Windlass as another user, or set DATABASE_URL"
        ) from error
    _log.info("made the system user %s: PostgreSQL cannot run as root", NAME)
    return pwd.getpwnam(NAME)


def open_up(folder: Path, user: SystemUser) -> None:
    """Let the user pass through the folders above; they may not list them."""
    for parent in folder.parents:
        status = parent.stat()
        if status.st_uid != user.uid and not status.st_mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            _log.info("%s: others may now pass through (o+x), as PostgreSQL's user must", parent)


def make_readable(folder: Path) -> None:
    """Let everyone read the server's own files, which a strict umask at their install forbids."""
    if folder.stat().st_mode & stat.S_IROTH:
        return
    for root, _, files in os.walk(folder):
        for path in (Path(root), *(Path(root, name) for name in files)):
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | (mode & 0o500) >> 6)
