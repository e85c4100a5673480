"""What the pages say about files, states and tables is there."""

import re
from pathlib import Path

import pytest

from docs import schema
from internal.domain.jobs import Outcome, Status

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
STATEMENTS = ROOT / "internal/adapters/postgres/sql"

LINK = re.compile(r"\]\((?!https?://)([^)#]+)")
FOLDERS = "benchmarks|cmd|docs|internal|migrations|tests|web|windlass"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)`")
STATEMENT = re.compile(r"\b\w+\.sql\b")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_links_lead_to_files(page: Path) -> None:
    links = [page.parent / link for link in LINK.findall(page.read_text())]
    assert [str(link) for link in links if not link.exists()] == []


@each_page
def test_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    named = [ROOT / path for path in PATH.findall(text)]
    named += [STATEMENTS / name for name in STATEMENT.findall(text)]
    assert [str(path) for path in named if not path.exists()] == []


def test_the_life_of_a_job_names_every_status_and_outcome() -> None:
    page = (ROOT / "docs/job-lifecycle.md").read_text()
    assert [word for word in (*Status, *Outcome) if f"| `{word}` |" not in page] == []


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    pages = {page.name for page in folder.glob("0*.md")}
    assert set(LINK.findall((folder / "README.md").read_text())) == pages


def test_the_picture_of_the_tables_is_current() -> None:
    assert schema.PAGE.read_text() == schema.page(), "run: make schema"
