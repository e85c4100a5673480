"""The public face for people who write handlers."""

from internal.domain.declaring import handler
from internal.domain.handlers import Handler, JobContext, Parent
from internal.domain.outcomes import Fail, Retry, Snooze

__all__ = ["Fail", "Handler", "JobContext", "Parent", "Retry", "Snooze", "handler"]
