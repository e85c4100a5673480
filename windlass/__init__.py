"""The public face for people who write handlers."""

from internal.domain.handlers import Fail, Handler, JobContext, Parent, Retry, Snooze, handler

__all__ = ["Fail", "Handler", "JobContext", "Parent", "Retry", "Snooze", "handler"]
