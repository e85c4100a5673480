"""Puts the files that the code reads at run time into the wheel, below `internal/_assets`."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class AssetsHook(BuildHookInterface[Any]):
    """Adds each folder only if present: an install before the dashboard's build must not fail."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        for source, name in (("migrations", "migrations"), ("web/dist", "web")):
            folder = Path(self.root, source)
            if folder.is_dir():
                build_data["force_include"][str(folder)] = f"internal/_assets/{name}"
