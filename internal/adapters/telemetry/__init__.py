"""What operators see of a running process."""

from internal.adapters.telemetry.logs import configure_logging

__all__ = ["configure_logging"]
