"""`make bench-publish`: puts the last results into the pages and the picture."""

from __future__ import annotations

import sys
from os.path import relpath
from pathlib import Path
from typing import Final

from benchmarks.places import LATEST, PAGE, PICTURE, README, ROOT
from benchmarks.plot import picture
from benchmarks.report import report, table
from benchmarks.results import load

BEGIN: Final = "<!-- figures: written by make bench-publish -->\n"
END: Final = "<!-- end of figures -->\n"


def main() -> None:
    """Write them; what stands around the figures stays."""
    if not LATEST.exists():
        sys.exit("there are no results: run 'make bench FULL=1' first")
    results = load(LATEST)
    if not results.full:
        sys.exit("the last results are of the quick form: run 'make bench FULL=1' first")
    PICTURE.write_text(picture(results))
    _put(README, table(results))
    _put(PAGE, report(results))
    written = [path.relative_to(ROOT) for path in (README, PAGE, PICTURE)]
    print("wrote", *written, sep="\n  ")


def _put(page: Path, figures: str) -> None:
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    image = f"![Bars of Windlass beside other queues]({relpath(PICTURE, page.parent)})"
    page.write_text(f"{before}{BEGIN}\n{image}\n\n{figures}\n\n{END}{after}")


if __name__ == "__main__":
    main()
