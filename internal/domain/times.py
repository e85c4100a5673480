"""Points in time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

# Never without a zone: read and written as RFC 3339.
Moment = Annotated[datetime, Meta(tz=True)]
