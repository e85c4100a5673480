"""The folders of a run, all of them ignored by git."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
WORK: Final = ROOT / ".bench"
DATA: Final = WORK / "data"
LOGS: Final = WORK / "logs"
PEERS: Final = WORK / "peers"
RESULTS: Final = WORK / "results"
LATEST: Final = RESULTS / "latest.json"

README: Final = ROOT / "README.md"
PAGE: Final = ROOT / "docs/performance.md"
PICTURE: Final = ROOT / "docs/images/performance.svg"
