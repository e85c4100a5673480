"""The same as `windlass worker`, from a checkout: `python cmd/worker.py`."""

import sys

from internal.bootstrap.cli import run

sys.exit(run(["worker", *sys.argv[1:]]))
