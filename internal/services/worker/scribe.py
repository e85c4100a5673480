"""Writes what running attempts log, all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from internal.domain.ports.work import Finishes, Lease, LoggedLine
from internal.services.worker.running import Running
from internal.services.worker.slots import Slots

# A statement has as many lines and those of one more attempt: some tens of milliseconds.
WRITTEN_AT_ONCE: Final = 2_000

Unwritten = dict[Running, Sequence[LoggedLine]]


class Scribe:
    """Not the heart's work, as beats must not wait for lines; ends bring along what is left."""

    def __init__(self, finishes: Finishes, slots: Slots) -> None:
        self._finishes = finishes
        self._slots = slots

    async def run_once(self) -> None:
        """Write the lines that have come since the last time."""
        news = {
            each: lines
            for each in self._slots.running
            if each.lines is not None and (lines := each.lines.unwritten())
        }
        for part in _parts(news):
            await self._write(part)

    async def _write(self, part: Unwritten) -> None:
        leases: Mapping[Lease, Sequence[LoggedLine]] = {
            each.lease: lines for each, lines in part.items()
        }
        written = await self._finishes.log(leases)
        for each, lines in part.items():
            if each.job_id in written and each.lines is not None:
                each.lines.written(lines[-1].number)


def _parts(news: Unwritten) -> Iterator[Unwritten]:
    part: Unwritten = {}
    size = 0
    for each, lines in news.items():
        part[each] = lines
        size += len(lines)
        if size >= WRITTEN_AT_ONCE:
            yield part
            part, size = {}, 0
    if part:
        yield part
