"""The examples of all routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from internal.adapters.http.examples import accounts, jobs, many, operation, queues, schedules
from internal.adapters.http.examples.declaring import Examples

BY_OPERATION: Final[Mapping[str, Examples]] = {
    **accounts.EXAMPLES,
    **jobs.EXAMPLES,
    **many.EXAMPLES,
    **queues.EXAMPLES,
    **schedules.EXAMPLES,
    **operation.EXAMPLES,
}
