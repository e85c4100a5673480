"""Where a replayed job comes from."""

from __future__ import annotations

from uuid import UUID

import msgspec

from internal.domain.jobs import Status
from internal.domain.times import Moment


class Replay(msgspec.Struct, frozen=True):
    """A retry of a job that stood as `from_status` after its attempt of this number.

    `operation_id`: the bulk operation that it was a part of. `parent_id`: the job whose end had
    canceled this one, where it was that job which was retried. `edited`: whether the payload has
    changed since that attempt.
    """

    at: Moment
    from_status: Status
    after_attempt: int
    operation_id: UUID | None
    parent_id: UUID | None
    edited: bool


class ReplayPage(msgspec.Struct, frozen=True):
    """Retries of a job, the newest first; `next_before` starts the next page, None at the end."""

    replays: list[Replay]
    next_before: int | None


class PastPayload(msgspec.Struct, frozen=True):
    """What a job had for its payload, JSON text byte for byte, until it was edited.

    `attempt`: the last one that had begun by then, and that ran with it; 0 is none.
    """

    attempt: int
    payload: str
    replaced_at: Moment
