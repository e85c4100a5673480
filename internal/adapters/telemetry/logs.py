"""Log lines of ours and of every library, as text for people or as JSON for machines.

Code logs through the standard library, `logging.getLogger(__name__).info("claimed", extra={...})`;
structlog renders the records.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from internal.adapters.telemetry.bounds import SafeFormatter, bound, rendered, traceback_text
from internal.adapters.telemetry.lines import LineWriter

_STDERR: Final = 2
# They tell of each step of their own at the level at which we tell of events.
_TALKATIVE: Final = ("alembic", "httpcore", "uvicorn", "websockets")


# What the end of a process waits for a reader of its last lines.
_LAST_LINES_S: Final = 1.0


class LineHandler(logging.Handler):
    """Hands records to a LineWriter: who logs never waits for who reads."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.lines = LineWriter(descriptor, dropped=self._dropped)

    def emit(self, record: logging.LogRecord) -> None:
        """Format in the caller's thread, write in another."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as the handlers of the standard library do
            self.handleError(record)
            return
        self.lines.put(f"{line}\n".encode(errors="replace"))

    def flush(self) -> None:
        """Write what is there; a reader that does not read is not waited for."""
        self.lines.flush(_LAST_LINES_S)

    def _dropped(self, count: int) -> bytes:
        level, text = logging.WARNING, "%d log lines were dropped: standard error was not read"
        record = logging.LogRecord(__name__, level, __file__, 0, text, (count,), None)
        return f"{self.format(record)}\n".encode()


def configure_logging(process: str, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Send every record to standard error; `process` names ours on each line."""
    handler = LineHandler(_STDERR) if stream is None else logging.StreamHandler(stream)
    handler.setFormatter(_formatter(process, stream or sys.stderr, as_json=as_json))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def log_lines() -> LineWriter:
    """What the log lines of this process go through."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LineHandler):
            return handler.lines
    return LineWriter(_STDERR)


def flush_logs() -> None:
    """Write the last lines, for a process that ends without its usual steps."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _formatter(process: str, stream: TextIO, *, as_json: bool) -> logging.Formatter:
    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process" if as_json else "logger"] = process
        return event

    render = structlog.processors.JSONRenderer() if as_json else _for_people(stream)
    return SafeFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            name_process,
            _timestamp(as_json=as_json),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(traceback_text),
            bound,
            rendered(render),
        ],
    )


def _timestamp(*, as_json: bool) -> Processor:
    if as_json:
        return structlog.processors.TimeStamper(fmt="iso", utc=True)
    return structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)


def _for_people(stream: TextIO) -> Processor:
    colors = stream.isatty() and "NO_COLOR" not in os.environ
    return structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, pad_level=False)
