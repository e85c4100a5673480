"""The statements that people will EXPLAIN, a `.sql` file each."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """The text of `sql/NAME.sql`."""
    return files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def name_of(text: str) -> str | None:
    """The NAME whose text this is, for the log."""
    return _names().get(text)


@cache
def _names() -> dict[str, str]:
    folder = files(__package__).joinpath("sql")
    names = [each.name.removesuffix(".sql") for each in folder.iterdir()]
    return {statement(name): name for name in names}
