"""A PostgreSQL server of our own in a folder, for those who have none."""

from internal.adapters.embedded.errors import EmbeddedError
from internal.adapters.embedded.lock import DirectoryInUseError, data_directory
from internal.adapters.embedded.server import EmbeddedServer, running_dsn

__all__ = [
    "DirectoryInUseError",
    "EmbeddedError",
    "EmbeddedServer",
    "data_directory",
    "running_dsn",
]
