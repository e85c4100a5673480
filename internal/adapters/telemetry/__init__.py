"""What operators see of a running process."""

from internal.adapters.telemetry.lines import LineWriter
from internal.adapters.telemetry.logs import configure_logging, flush_logs, log_lines
from internal.adapters.telemetry.printed import PrintedText

__all__ = ["LineWriter", "PrintedText", "configure_logging", "flush_logs", "log_lines"]
