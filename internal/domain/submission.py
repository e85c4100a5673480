"""What a user asks for when they submit a job, and what becomes of it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from internal.domain.declaring import LONGEST_TIMEOUT, MOST_ATTEMPTS
from internal.domain.durations import milliseconds
from internal.domain.errors import FieldError, PayloadTooLargeError, ValidationError
from internal.domain.handlers import Handler, Handlers
from internal.domain.ids import new_id
from internal.domain.inputs import misfit
from internal.domain.jobs import OnDependencyFailure, Priority
from internal.domain.retry import Backoff, Strategy
from internal.domain.times import Moment

MAX_BATCH: Final = 10_000
MAX_DELAY_MS: Final = 30 * 24 * 3600 * 1000
LONGEST_DELAY_MS: Final = 10 * 365 * 24 * 3600 * 1000
MAX_TIMEOUT_MS: Final = milliseconds(LONGEST_TIMEOUT)
EARLIEST_RUN_AT: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_RUN_AT: Final = datetime(2200, 1, 1, tzinfo=UTC)
MUST_BE_BETWEEN: Final = f"must be between {EARLIEST_RUN_AT:%Y} and {LATEST_RUN_AT:%Y}"

# PostgreSQL's text cannot hold NUL; no control character belongs into a name. In
# Python `$` also matches before a last line feed, hence the look-ahead.
PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$(?!\n)"

TypeName = Annotated[str, Meta(min_length=1, max_length=200, pattern=PRINTABLE)]
QueueName = Annotated[str, Meta(min_length=1, max_length=100, pattern=PRINTABLE)]
IdempotencyKey = Annotated[str, Meta(min_length=1, max_length=200, pattern=PRINTABLE)]
LimitKey = Annotated[str, Meta(min_length=1, max_length=200, pattern=PRINTABLE)]
# Names stand beside ids in `depends_on`, marked by this.
NAME_MARK: Final = "@"
MOST_PARENTS: Final = 1_000
JobName = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^(?!@)" + PRINTABLE[1:])]
Dependency = Annotated[str, Meta(min_length=1, max_length=101, description="An id or @name")]
Tag = Annotated[str, Meta(min_length=1, max_length=50, pattern=PRINTABLE)]
Payload = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class BackoffRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job's own retry delays; what is left out comes from the installation's settings."""

    strategy: Strategy | None = None
    base_ms: Annotated[int, Meta(ge=1, le=MAX_DELAY_MS)] | None = None
    max_ms: Annotated[int, Meta(ge=1, le=MAX_DELAY_MS)] | None = None
    jitter: Annotated[float, Meta(ge=0, le=1)] | None = None


class Submission(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
):
    """A job to run; everything but `type` has a default."""

    type: Annotated[TypeName, Meta(description="Names the handler that runs the job")]
    payload: Annotated[Payload, Meta(description="What the handler gets")] | UnsetType = UNSET
    queue: Annotated[
        QueueName | None, Meta(description="A queue of yours, made on first use; else `default`")
    ] = None
    priority: Annotated[
        Priority | None, Meta(description="Within its queue; `medium` unless it is set")
    ] = None
    run_at: Annotated[Moment | None, Meta(description="The earliest start; else at once")] = None
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=MOST_ATTEMPTS)] | None,
        Meta(description="After how many failed attempts it has failed for good"),
    ] = None
    backoff: Annotated[
        BackoffRequest | None, Meta(description="How long to wait after a failed attempt")
    ] = None
    timeout_ms: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_MS)] | None,
        Meta(description="After what time an attempt is ended and counts as failed"),
    ] = None
    idempotency_key: Annotated[
        IdempotencyKey | None,
        Meta(
            description="A name of yours: submitted again with the same one, no second job is made"
        ),
    ] = None
    tags: Annotated[
        Annotated[tuple[Tag, ...], Meta(max_length=20)] | None,
        Meta(description="To find the job by in lists"),
    ] = None
    delay_ms: Annotated[
        Annotated[int, Meta(ge=0, le=LONGEST_DELAY_MS)] | None,
        Meta(description="The earliest start, counted from now; in place of `run_at`"),
    ] = None
    expires_at: Annotated[
        Moment | None, Meta(description="When to cancel it if it has not started by then")
    ] = None
    expires_in_ms: Annotated[
        Annotated[int, Meta(ge=1, le=LONGEST_DELAY_MS)] | None,
        Meta(
            description="How long after its earliest start to cancel it if it has not started by"
            " then; in place of `expires_at`"
        ),
    ] = None
    concurrency_key: Annotated[
        LimitKey | None,
        Meta(description="`max_running_per_key` of the queue holds for jobs with the same key"),
    ] = None
    rate_key: Annotated[
        LimitKey | None,
        Meta(description="`rate_limit_per_key` of the queue holds for jobs with the same key"),
    ] = None
    name: Annotated[
        JobName | None, Meta(description="In a batch, for `depends_on` of its other jobs")
    ] = None
    depends_on: Annotated[
        Annotated[tuple[Dependency, ...], Meta(max_length=MOST_PARENTS)] | None,
        Meta(description="The jobs to wait for: ids or, in a batch, names as `@name`"),
    ] = None
    on_dependency_failure: Annotated[
        OnDependencyFailure | None,
        Meta(
            description="What to do when one of those does not succeed; `cancel` unless it is set"
        ),
    ] = None


class JobDefaults(msgspec.Struct, frozen=True):
    """The installation's settings for what a submission leaves out."""

    max_attempts: int
    backoff: Backoff
    timeout_ms: int
    max_payload_bytes: int


class NewJob(msgspec.Struct, frozen=True):
    """A checked submission, every default filled in.

    `run_at` and `delay_ms` None mean at once; `index` is the place in its batch, for errors. The
    hash of the request is empty without an idempotency key. `parents` are the jobs it waits for,
    and `awaited` tells that others of its batch wait for it.
    """

    id: UUID
    type: str
    queue: str
    route: str
    priority: Priority
    payload: str
    max_attempts: int
    backoff: Backoff
    timeout_ms: int
    tags: tuple[str, ...]
    run_at: datetime | None
    delay_ms: int | None
    expires_at: datetime | None
    expires_in_ms: int | None
    concurrency_key: str | None
    rate_key: str | None
    idempotency_key: str | None
    request_hash: bytes
    index: int | None = None
    name: str | None = None
    parents: tuple[UUID, ...] = ()
    runs_anyway: bool = False
    awaited: bool = False


def accept(
    request: Submission,
    handlers: Handlers,
    defaults: JobDefaults,
    *,
    index: int | None = None,
) -> NewJob:
    """Check a submission and fill in its defaults: its own, then its handler's, then the settings'.

    Args:
        index: the submission's place in its batch, for errors.

    Raises:
        ValidationError: naming each field at fault.
        PayloadTooLargeError: when the payload has more bytes than allowed.
    """
    payload = _payload(request, defaults.max_payload_bytes, index)
    handler = handlers.find(request.type)
    parents, faults = _parents(request, index)
    faults += [*_time_faults(request, index), *_misfits(payload, handler, index)]
    if faults:
        raise ValidationError.of(*faults)
    own_attempts = handler.max_attempts if handler else None
    own_timeout = handler.timeout_ms if handler else None
    return NewJob(
        id=new_id(),
        type=request.type,
        queue=request.queue or "default",
        route=handlers.route_of(request.type),
        priority=request.priority or Priority.MEDIUM,
        payload=payload,
        max_attempts=request.max_attempts or own_attempts or defaults.max_attempts,
        backoff=_backoff(request.backoff, defaults.backoff),
        timeout_ms=request.timeout_ms or own_timeout or defaults.timeout_ms,
        tags=request.tags or (),
        run_at=request.run_at,
        delay_ms=request.delay_ms,
        expires_at=request.expires_at,
        expires_in_ms=request.expires_in_ms,
        concurrency_key=request.concurrency_key,
        rate_key=request.rate_key,
        idempotency_key=request.idempotency_key,
        request_hash=b"" if request.idempotency_key is None else _fingerprint(request, index),
        index=index,
        name=request.name,
        parents=parents,
        runs_anyway=request.on_dependency_failure is OnDependencyFailure.RUN,
    )


def check_payload(type_: str, payload: Raw, handlers: Handlers, limit: int) -> str:
    """The payload's text, if a job of this type may have it.

    Raises:
        ValidationError, PayloadTooLargeError: as at submission.
    """
    text = _object_text(bytes(payload), limit, None)
    faults = _misfits(text, handlers.find(type_), None)
    if faults:
        raise ValidationError.of(*faults)
    return text


def request_hash(request: Submission) -> bytes:
    """A fingerprint of what was asked for, before defaults.

    The order of the request's fields and white space do not count. The key itself is left out.
    """
    bare = msgspec.structs.replace(request, idempotency_key=None)
    return hashlib.sha256(msgspec.json.format(msgspec.json.encode(bare), indent=-1)).digest()


def _fingerprint(request: Submission, index: int | None) -> bytes:
    """The whole request is a level deeper than its payload: the decoder may give up here."""
    try:
        return request_hash(request)
    except RecursionError as error:
        raise ValidationError.of(FieldError("payload", f"is nested: {error}", index)) from error


def _payload(request: Submission, limit: int, index: int | None) -> str:
    if isinstance(request.payload, UnsetType):
        return "{}"
    return _object_text(bytes(request.payload), limit, index)


def _object_text(raw: bytes, limit: int, index: int | None) -> str:
    if len(raw) > limit:
        message = f"payload is {len(raw):,} bytes; at most {limit:,} are allowed"
        raise PayloadTooLargeError(message, details=(FieldError("payload", message, index),))
    try:
        whole = msgspec.json.decode(raw)
        text = raw.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = FieldError("payload", f"is not JSON that handlers can read: {error}", index)
        raise ValidationError.of(fault) from error
    if not isinstance(whole, dict):
        raise ValidationError.of(FieldError("payload", "must be a JSON object", index))
    return text


def _time_faults(request: Submission, index: int | None) -> list[FieldError]:
    run_at, expires_at = request.run_at, request.expires_at
    if run_at is None and expires_at is None:
        return []
    faults = [
        FieldError(name, MUST_BE_BETWEEN, index)
        for name, at in (("run_at", run_at), ("expires_at", expires_at))
        if at is not None and not EARLIEST_RUN_AT <= at < LATEST_RUN_AT
    ]
    if run_at is not None and request.delay_ms is not None:
        faults.append(FieldError("delay_ms", "stands beside run_at: send one of them", index))
    if expires_at is not None and request.expires_in_ms is not None:
        faults.append(FieldError("expires_in_ms", "cannot go with expires_at: send one", index))
    if run_at is not None and expires_at is not None and expires_at <= run_at:
        faults.append(FieldError("expires_at", "must be later than run_at", index))
    return faults


def _parents(request: Submission, index: int | None) -> tuple[tuple[UUID, ...], list[FieldError]]:
    """The jobs it names by id; `linking.link` adds those that a batch names otherwise."""
    if request.name is None and request.depends_on is None:
        return (), []
    faults, ids = [], []
    if request.name is not None and index is None:
        faults.append(FieldError("name", "is for the jobs of a batch"))
    for each in request.depends_on or ():
        if not each.startswith(NAME_MARK):
            try:
                ids.append(msgspec.convert(each, UUID))
            except msgspec.ValidationError:
                faults.append(FieldError("depends_on", f"{each!r} is no id and no @name", index))
        elif index is None:
            faults.append(FieldError("depends_on", "an @name is for the jobs of a batch"))
    return tuple(dict.fromkeys(ids)), faults


def _misfits(payload: str, handler: Handler | None, index: int | None) -> list[FieldError]:
    if handler is None or handler.input.is_any_object:
        return []
    try:
        handler.input.decode(payload)
    except BaseException as error:  # noqa: BLE001 - an input type may run an operator's code
        return [FieldError("payload", f"does not fit the type's input: {misfit(error)}", index)]
    return []


def _backoff(own: BackoffRequest | None, defaults: Backoff) -> Backoff:
    if own is None:
        return defaults
    base_ms = own.base_ms or defaults.base_ms
    return Backoff(
        strategy=own.strategy or defaults.strategy,
        base_ms=base_ms,
        max_ms=own.max_ms or max(defaults.max_ms, base_ms),
        jitter=defaults.jitter if own.jitter is None else own.jitter,
    )


def default_backoff(strategy: Strategy, base: timedelta, maximum: timedelta) -> Backoff:
    """The installation's backoff from its settings."""
    return Backoff(strategy, milliseconds(base), milliseconds(maximum))
