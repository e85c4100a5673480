"""Columns of values, as statements over `unnest` take them."""

from __future__ import annotations

from typing import Any


def once(column: list[Any]) -> list[Any]:
    """A value that all rows share travels once, and the statement repeats it.

    Encoding the columns was a third of the CPU that a batch took.
    """
    return column[:1] if column.count(column[0]) == len(column) else column


def if_any(column: list[Any]) -> list[Any]:
    """Where there is no value at all, the statement reads nulls."""
    return column if column.count(None) < len(column) else []
