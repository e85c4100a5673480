"""Everything that can be refused, each with the stable code that clients see."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

LONGEST_REASON: Final = 300
RETRY_AFTER_S: Final = 2


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault of one field; `index` is the submission's place in a batch, from 0."""

    field: str
    message: str
    index: int | None = None


class WindlassError(Exception):
    """Windlass could not do this"""

    code: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
    ) -> None:
        """`retry_after` is in seconds: when the same request may succeed."""
        self.message = message or (type(self).__doc__ or "").strip()
        self.details = details
        self.retry_after = retry_after
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class ValidationError(WindlassError):
    """The request is not valid"""

    code = "VALIDATION_ERROR"

    @classmethod
    def of(cls, *errors: FieldError) -> ValidationError:
        """Name the first fault in the message and all of them in the details."""
        first = errors[0]
        where = first.field if first.index is None else f"jobs[{first.index}].{first.field}"
        return cls(f"{where} {first.message}", details=errors)


class UnauthenticatedError(WindlassError):
    """A valid access token is required: log in, then send 'Authorization: Bearer ACCESS_TOKEN'"""

    code = "UNAUTHENTICATED"


class InvalidCredentialsError(WindlassError):
    """The email or the password is wrong"""

    code = "INVALID_CREDENTIALS"


class ForbiddenError(WindlassError):
    """This needs a role or scope that you do not have"""

    code = "FORBIDDEN"


class NotFoundError(WindlassError):
    """There is no such thing, or it is not yours"""

    code = "NOT_FOUND"


class EmailTakenError(WindlassError):
    """An account with this email exists: log in instead"""

    code = "EMAIL_TAKEN"


class NameTakenError(WindlassError):
    """You have one of this name: choose another name, or change that one"""

    code = "NAME_TAKEN"


class LimitReachedError(WindlassError):
    """You have as many of these as there can be: delete one first"""

    code = "LIMIT_REACHED"


class QueueNotEmptyError(WindlassError):
    """The queue has unfinished jobs: wait for them, or cancel them first"""

    code = "QUEUE_NOT_EMPTY"


class InvalidStateError(WindlassError):
    """The job's status does not allow this"""

    code = "INVALID_STATE"


class IdempotencyConflictError(WindlassError):
    """This idempotency key was used for a different request: use a new key"""

    code = "IDEMPOTENCY_CONFLICT"


class PayloadTooLargeError(WindlassError):
    """The request is too large"""

    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaTypeError(WindlassError):
    """Send the body as JSON, with 'Content-Type: application/json'"""

    code = "UNSUPPORTED_MEDIA_TYPE"


class RateLimitedError(WindlassError):
    """Too many attempts: wait and try again"""

    code = "RATE_LIMITED"


class QuotaExceededError(WindlassError):
    """You would have more unfinished jobs than you may: wait until some have finished"""

    code = "QUOTA_EXCEEDED"


class UnavailableError(WindlassError):
    """The database is not reachable now: try again shortly"""

    code = "UNAVAILABLE"

    def __init__(self, message: str | None = None, *, retry_after: int = RETRY_AFTER_S) -> None:
        super().__init__(message, retry_after=retry_after)

    @property
    def reason(self) -> str:
        """What the log says about it, in one line."""
        return self.message if self.__cause__ is None else reason_of(self.__cause__)


class TimedOutError(UnavailableError):
    """The database took too long to answer: try again shortly"""


class ContentionError(UnavailableError):
    """Others are changing the same things just now: try again"""


def reason_of(error: BaseException) -> str:
    """An error in one line for the log: its class, its SQLSTATE if it has one, its message."""
    if isinstance(error, UnavailableError):
        return error.reason
    state = getattr(error, "sqlstate", None)
    name = f"{type(error).__name__} {state}" if state else type(error).__name__
    text = " ".join(str(error).splitlines()[:1])[:LONGEST_REASON]
    return f"{name}: {text}" if text else name
