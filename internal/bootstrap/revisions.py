"""Which revisions of the tables this release can work with."""

from __future__ import annotations

import logging
from pathlib import Path

import asyncpg
import msgspec

import internal
from internal.adapters.postgres.revision import Revision, read_revision
from internal.bootstrap.errors import StartError

_log = logging.getLogger(__name__)


class Release(msgspec.Struct, frozen=True):
    """The revisions that a release knows; the newest is the one it was made for."""

    known: frozenset[str]
    newest: str

    def refusal(self, found: Revision | None) -> str | None:
        """Why processes of this release cannot use the tables; None when they can."""
        if found is None:
            return f"the database is empty, this Windlass needs {self.newest}: {_UP}"
        if not found.has_tables:
            return (
                f"the database says revision {found.version} but has no table of jobs: "
                "restore it from a backup, or use an empty database"
            )
        if self.is_older_than(found):
            return None if found.serves in self.known else self._too_new(found)
        if found.version != self.newest:
            return (
                f"the database is at revision {found.version}, "
                f"this Windlass needs {self.newest}: {_UP}"
            )
        return None

    def is_older_than(self, found: Revision) -> bool:
        """Whether a newer release made the tables."""
        return found.version not in self.known

    def _too_new(self, found: Revision) -> str:
        return (
            f"the database is at revision {found.version}, which a newer Windlass made and which "
            f"serves releases that know {found.serves}; this one knows up to {self.newest}: "
            f"install the newer one, or go back with its 'windlass migrate down {self.newest}'"
        )


_UP = "run 'windlass migrate up'"


def this_release(folder: Path | None = None) -> Release:
    """Read off the migrations' file names, which begin with their revisions."""
    files = ((folder or migrations_folder()) / "versions").glob("[0-9]*_*.py")
    known = frozenset(file.name.partition("_")[0] for file in files)
    if not known:
        raise StartError(f"{migrations_folder()} has no migrations: install Windlass again")
    return Release(known, max(known))


def migrations_folder() -> Path:
    """In a wheel beside the code, in a checkout at the top."""
    package = Path(internal.__file__).parent
    packed = package / "_assets" / "migrations"
    return packed if packed.is_dir() else package.parent / "migrations"


async def require_schema(connection: asyncpg.Connection) -> None:
    """Refuse a database whose tables this release cannot use.

    Raises:
        StartError: saying what to do.
    """
    release = this_release()
    try:
        found = await read_revision(connection)
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartError(
            f"the database role may not use Windlass's tables: {error}; "
            "give it the rights that docs/upgrading.md lists under Roles"
        ) from error
    if (reason := release.refusal(found)) is not None:
        raise StartError(reason)
    if found is not None and release.is_older_than(found):
        warn_of_newer(found, release)


def warn_of_newer(found: Revision, release: Release) -> None:
    """Say once at the start that a newer release has changed the tables."""
    _log.warning(
        "the database is at revision %s, newer than %s of this Windlass, which it still serves: "
        "install the newer one soon",
        found.version,
        release.newest,
    )
