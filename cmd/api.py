"""The same as `windlass api`, from a checkout: `python cmd/api.py`."""

import sys

from internal.bootstrap.cli import run

sys.exit(run(["api", *sys.argv[1:]]))
