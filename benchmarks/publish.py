"""`make bench-publish`: puts the last results into the page and the picture."""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.places import LATEST, PAGE, PICTURE, ROOT
from benchmarks.plot import picture
from benchmarks.report import report
from benchmarks.results import load

BEGIN: Final = "<!-- figures: written by make bench-publish -->\n"
END: Final = "<!-- end of figures -->\n"


def main() -> None:
    """Write both; what stands around the figures stays."""
    if not LATEST.exists():
        sys.exit("there are no results: run 'make bench FULL=1' first")
    results = load(LATEST)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    image = f"![Bars of Windlass beside other queues](images/{PICTURE.name})"
    PAGE.write_text(f"{before}{BEGIN}\n{image}\n\n{report(results)}\n{END}{after}")
    PICTURE.write_text(picture(results))
    print(f"wrote {PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
