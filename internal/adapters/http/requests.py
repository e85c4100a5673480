"""Reading requests: bodies straight into the type that a handler declares."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.types import Empty

from internal.adapters.http.faults import BODY, invalid
from internal.domain.accounts import Actor
from internal.domain.errors import (
    FieldError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    ValidationError,
)

MAX_BODY_BYTES: Final = 16 * 1024 * 1024

Q = TypeVar("Q", bound=msgspec.Struct)

# Python refuses to read thousands of digits, and no number of ours has more than these.
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_LIST_INDEX: Final = re.compile(r"\[\d+\]`$")
_TRUNCATED: Final = "Input data was truncated"
_HALF_OR_CUT: Final = (
    "is not valid JSON: it ends too early, or a string has one half of a surrogate pair"
)


class ApiRequest(Request[Actor, None, State]):
    """A request whose JSON body is decoded once, by msgspec, into the handler's `data` type.

    Litestar would decode into plain objects first, and `msgspec.Raw` would lose the bytes sent.
    """

    async def body(self) -> bytes:
        """Raise PayloadTooLargeError beyond 16 MiB, before the rest is read."""
        if self._body is Empty:
            if int(header(self, b"content-length") or 0) > MAX_BODY_BYTES:
                raise _too_large()
            self._body = await self._read()
        return self._body

    async def _read(self) -> bytes:
        read = bytearray()
        while True:
            message: Any = await self.receive()
            if message["type"] == "http.disconnect":
                # Read by nobody, but it is counted: as the client's doing, not ours.
                raise _bad_body("broke off before its end")
            read += message["body"]
            if len(read) > MAX_BODY_BYTES:
                raise _too_large()
            if not message.get("more_body", False):
                return bytes(read)

    async def json(self) -> Any:
        if self._json is Empty:
            _require_json(header(self, b"content-type") or b"")
            field = self.route_handler.parsed_data_field
            type_ = Any if field is None else field.annotation
            self._json = decode(await self.body(), type_)
        return self._json


def header(request: Request[Any, Any, Any], name: bytes) -> bytes | None:
    """A header by its name in lower case; `headers` would decode all of them first."""
    headers: Iterable[tuple[bytes, bytes]] = request.scope["headers"]
    return dict(headers).get(name)


def decode(body: bytes, type_: Any) -> Any:
    """The body as a value of `type_`.

    Raises:
        ValidationError: naming the field, or what is wrong with the JSON.
    """
    try:
        return _decoder(type_).decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from error
    except msgspec.DecodeError as error:
        text = str(error)
        reason = _HALF_OR_CUT if text == _TRUNCATED else f"is not valid JSON: {text}"
        raise _bad_body(reason) from error
    except UnicodeDecodeError as error:
        raise _bad_body("is not UTF-8") from error
    except RecursionError as error:
        raise _bad_body("is nested too deeply") from error


def refuse_unknown_query(request: Request[Any, Any, Any]) -> None:
    """Refuse query parameters that the route does not have, and those given twice.

    Raises:
        ValidationError: naming the first one, or when the query is not UTF-8.
    """
    if not request.scope["query_string"]:
        return
    _require_utf_8(request.scope["query_string"])
    known = _query_names(request.route_handler)
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise unknown_parameter(name, known)
        if name in seen:
            raise ValidationError.of(FieldError(name, "is given twice: separate values by commas"))
        seen.add(name)


def unknown_parameter(name: str, known: Iterable[str] = ()) -> ValidationError:
    """The refusal of a query parameter that the route does not have."""
    allowed = f"; known are {', '.join(known)}" if known else ""
    return ValidationError.of(FieldError(name, f"is not a known query parameter{allowed}"))


def read_query(request: ApiRequest, type_: type[Q]) -> Q:
    """The query as a struct of optional fields, the one under `query` in the route's `opt`.

    A field whose default is a tuple takes several values by comma.

    Raises:
        ValidationError: naming the parameter.
    """
    defaults = dict(zip(type_.__struct_fields__, type_.__struct_defaults__, strict=True))
    values = {
        name: _query_value(text, defaults[name]) for name, text in request.query_params.items()
    }
    try:
        return msgspec.convert(values, type_)
    except msgspec.ValidationError as error:
        raise invalid(_LIST_INDEX.sub("`", str(error))) from error


def _require_utf_8(query: bytes) -> None:
    """Litestar would put replacement characters into what a filter compares with."""
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError as error:
        raise ValidationError.of(FieldError("query", "is not UTF-8")) from error


def _query_value(text: str, default: object) -> object:
    if isinstance(default, tuple):
        return text.split(",")
    if isinstance(default, int) and _WHOLE.fullmatch(text):
        return int(text)
    return text


def _query_names(handler: Any) -> tuple[str, ...]:
    query = handler.opt.get("query")
    return () if query is None else query.__struct_fields__


def _require_json(content_type: bytes) -> None:
    if content_type == b"application/json":
        return
    media_type, _, parameters = content_type.decode("latin-1").lower().partition(";")
    charset = parameters.replace(" ", "").replace('"', "")
    if media_type.strip() != "application/json" or charset not in {"", "charset=utf-8"}:
        raise UnsupportedMediaTypeError


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def _too_large() -> PayloadTooLargeError:
    return PayloadTooLargeError("The request is too large: 16 MiB at most")


def _bad_body(reason: str) -> ValidationError:
    return ValidationError.of(FieldError(BODY, reason))
