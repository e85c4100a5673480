"""What a refusal looks like: one example for each code."""

from __future__ import annotations

from typing import Final

from internal.adapters.http.errors import Error, ErrorBody
from internal.adapters.http.requests import unknown_parameter
from internal.domain.errors import ValidationError, WindlassError

REQUEST_ID: Final = "019cadc6-9ae4-73d9-a344-5bb31738f7d9"
# The one fault that there is on every route.
INVALID: Final = unknown_parameter("color")


def refused(error: type[WindlassError]) -> Error:
    """The answer to a request that is refused with this error."""
    said = INVALID if error is ValidationError else error()
    return Error(ErrorBody(said.code, said.message, said.details, REQUEST_ID))
