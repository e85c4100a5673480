"""Every peer in an environment of its own, installed once for each set of pinned versions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.errors import BenchError
from benchmarks.peers.catalogue import Peer, Runtime
from benchmarks.places import PEERS, ROOT
from benchmarks.processes import Command, answer, last_words, running

DRIVERS: Final = Path(__file__).parent / "drivers"
_NEWEST_MINOR: Final = 20


class Installed:
    """A peer that is ready to run."""

    def __init__(self, peer: Peer, command: Command, environment: dict[str, str]) -> None:
        self.peer = peer
        self._command = command
        self._environment = environment

    def install_tables(self, dsn: str) -> None:
        """Make what it needs in a database."""
        self.tell("install", dsn)

    def tell(self, command: str, dsn: str, **options: Any) -> dict[str, Any]:
        """Run one command of its driver: see `drivers/driver.py`."""
        words = (*self._command, command, dsn, json.dumps(options))
        return answer(self.peer.name, words, self._environment)


def install(peer: Peer) -> Installed:
    """Make its environment unless it is there.

    Raises:
        BenchError: saying why this machine cannot have it.
    """
    folder = PEERS / peer.name
    stamp = folder / "installed.json"
    wanted = json.dumps(peer.packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _INSTALL[peer.runtime](peer, folder)
        stamp.write_text(wanted)
    return _USE[peer.runtime](peer, folder)


def _install_python(peer: Peer, folder: Path) -> None:
    _run(peer, (_python(peer.python), "-m", "venv", folder))
    pip = (folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input")
    _run(peer, (*pip, "install", *peer.packages))


def _install_node(peer: Peer, folder: Path) -> None:
    # Without one here npm would install into a folder above that has one.
    (folder / "package.json").write_text("{}")
    flags = ("--ignore-scripts", "--no-audit", "--no-fund")
    _run(peer, (_beside_python("npm"), "--prefix", folder, "install", *flags, *peer.packages))


def _use_python(peer: Peer, folder: Path) -> Installed:
    module = f"benchmarks.peers.drivers.{peer.name}"
    command = (folder / "bin/python", "-P", "-m", module)
    return Installed(peer, command, _environment() | {"PYTHONPATH": str(ROOT)})


def _use_node(peer: Peer, folder: Path) -> Installed:
    command = (_beside_python("node"), DRIVERS / f"{peer.name}.mjs")
    return Installed(peer, command, _environment() | {"BENCH_MODULES": str(folder)})


_INSTALL: Final = {Runtime.PYTHON: _install_python, Runtime.NODE: _install_node}
_USE: Final = {Runtime.PYTHON: _use_python, Runtime.NODE: _use_node}


def _python(oldest: tuple[int, int]) -> Path:
    """The oldest Python that will do: packages have wheels for it."""
    version = ".".join(map(str, oldest))
    for found in _pythons(oldest):
        check = f"import sys; sys.exit(sys.version_info < {oldest})"
        if subprocess.run((found, "-c", check), check=False, capture_output=True).returncode == 0:
            return found
    raise BenchError(f"it needs Python {version}, which was not found here")


def _pythons(oldest: tuple[int, int]) -> Iterator[Path]:
    yield Path(sys.executable)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(oldest[1], _NEWEST_MINOR):
        name = f"python3.{minor}"
        if on_path := shutil.which(name):
            yield Path(on_path)
        yield from versions.glob(f"3.{minor}.*/bin/{name}")


def _beside_python(program: str) -> Path:
    """Node comes with our own build tools."""
    path = Path(sys.executable).with_name(program)
    if not path.exists():
        raise BenchError(f"it needs {program}, which is not in {path.parent}: run make bench")
    return path


def _environment() -> dict[str, str]:
    """Ours, without what would tell a peer of another database or Python."""
    here = {
        name: each for name, each in os.environ.items() if not name.startswith(("PG", "PYTHON"))
    }
    return here | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{here.get('PATH', '')}"}


def _run(peer: Peer, command: Sequence[str | Path]) -> None:
    name = f"install-{peer.name}"
    with running(name, command, _environment()) as process:
        if process.wait() != 0:
            raise BenchError(f"it cannot be installed: {last_words(name)}")
