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

# They tell of each step of their own at the level at which we tell of events.
_TALKATIVE: Final = ("alembic", "httpcore", "uvicorn", "websockets")


def configure_logging(process: str, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Send every record to standard error; `process` names ours on each line."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(process, stream, as_json=as_json))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


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
