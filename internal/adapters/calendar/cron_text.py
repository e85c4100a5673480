"""What is wrong with the text of a cron expression."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from cronsim import CronSim, CronSimError

# What every expression may be tried with: cronsim starts from some time.
SOME_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)

# The fields with the largest step that leaves more than the first value.
_FIELDS: Final = {
    "minute": 59,
    "hour": 23,
    "day of month": 30,
    "month": 11,
    "day of week": 7,
}
_MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_ALPHABET: Final = re.compile(r"[0-9A-Za-z*,/#\- \t]+")
_STEP: Final = re.compile(r"(?P<of>[^/]*)/(?P<step>[0-9]{1,9})")
_RANGE: Final = re.compile(r"(?P<first>[0-9]{1,9})-(?P<last>[0-9]{1,9})(/.*)?")


def fault_of(cron: str) -> str | None:
    """The end of a sentence about the expression; None when it can be read."""
    if written := _MACROS.get(cron.strip().lower()):
        return f"must be five fields: {cron.strip()!r} is written {written!r}"
    if "?" in cron:
        return "must not have a '?': write '*'"
    fields = cron.split()
    if not _ALPHABET.fullmatch(cron) or len(fields) != len(_FIELDS):
        return f"must be five fields: {', '.join(_FIELDS)}"
    named = zip(_FIELDS.items(), fields, strict=True)
    if fault := next(
        (each for (name, most), field in named for each in _faults(name, most, field)), None
    ):
        return fault
    try:
        CronSim(cron, SOME_TIME)
    except CronSimError as error:
        return f"is not a cron expression: {_lower(str(error))}"
    return None


def _faults(name: str, most: int, field: str) -> Iterator[str]:
    for term in field.split(","):
        span, step = _RANGE.fullmatch(term), _STEP.fullmatch(term)
        if span and int(span["first"]) > int(span["last"]):
            yield f"has {term!r} for the {name}: a range runs upwards, so write it as two"
        if step and not ("-" in step["of"] or step["of"] == "*"):
            yield f"has {term!r} for the {name}: a step goes with a range or a star"
        if step and int(step["step"]) > most:
            yield f"has {term!r} for the {name}: a step is at most {most}"
        if name == "day of month" and term.upper().endswith("W") and term.upper() != "LW":
            yield f"has {term!r} for the {name}: of weekdays there is only 'LW', the last"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
