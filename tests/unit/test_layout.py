"""What the tree must not hold, and what the wheel must."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]

# In parts, so that this file passes its own test.
REGISTRIES = [
    b".".join(parts)
    for parts in (
        (b"pypi", b"org"),
        (b"pythonhosted", b"org"),
        (b"npmjs", b"org"),
        (b"npmjs", b"com"),
        (b"deb", b"debian", b"org"),
        (b"docker", b"io"),
        (b"ghcr", b"io"),
    )
]


def test_cmd_is_no_package_that_would_shadow_pythons_own() -> None:
    assert not (ROOT / "cmd/__init__.py").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout: no list of files")
def test_no_file_names_a_package_registry() -> None:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in names.rstrip("\0").split("\0")]
    found = [
        f"{file.relative_to(ROOT)}: {host.decode()}"
        for file in files
        if file.is_file()
        for host in REGISTRIES
        if host in file.read_bytes()
    ]
    assert found == []


def test_the_wheel_carries_the_migrations(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    carried = set(ZipFile(wheel).namelist())
    migrations = [path for path in (ROOT / "migrations").rglob("*.py") if path.is_file()]
    assert migrations
    for path in migrations:
        assert f"internal/_assets/{path.relative_to(ROOT)}" in carried


def test_what_runs_beside_handlers_keeps_the_clock_that_one_of_them_may_replace() -> None:
    beside = [*(ROOT / "internal/services").rglob("*.py")]
    beside += (ROOT / "internal/adapters/postgres").rglob("*.py")

    assert [str(each) for each in beside if "time.monotonic()" in each.read_text()] == []
