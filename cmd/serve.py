"""The same as `windlass serve`, from a checkout: `python cmd/serve.py`."""

import sys

from internal.bootstrap.cli import run

sys.exit(run(["serve", *sys.argv[1:]]))
