"""The public face for people who write handlers."""

from internal.domain.handlers import Handler, JobContext, Parent, handler
from internal.domain.outcomes import Fail, Retry, Snooze

__all__ = ["Fail", "Handler", "JobContext", "Parent", "Retry", "Snooze", "handler"]
