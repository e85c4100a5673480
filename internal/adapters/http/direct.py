"""The busiest route, answered past Litestar's pipeline."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from internal.adapters.http.asgi import App, Receive, Scope, Send
from internal.adapters.http.errors import answer_error, body_is_missing
from internal.adapters.http.requests import ApiRequest

# Litestar refuses some others; a host that may be one of them is left to it.
_PLAIN_HOST: Final = re.compile(rb"[A-Za-z0-9.:-]*")


class Direct:
    """Answers requests to one route itself, and leaves all others to the application behind it.

    Finding the route, filling in the handler's parameters and three layers of error handling are a
    fifth of what a submission costs the API. What is decided stays where it is: who is admitted,
    how a body is read, the handler and the answers to errors are those of the route. A test sends
    the same requests both ways.
    """

    def __init__(self, app: App, handler: HTTPRouteHandler, method: str, path: str) -> None:
        self._app = app
        self._handler = handler
        self._method = method
        self._path = path
        self._admit: Any = handler.resolve_before_request()
        self._handle: Any = handler.fn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._takes(scope):
            await self._app(scope, receive, send)
            return
        scope["route_handler"] = self._handler
        scope["path_template"] = self._path
        request = ApiRequest(scope, receive, send)  # type: ignore[arg-type]
        try:
            answer = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - told to the client, or logged
            answer = answer_error(request, error)
        encoded: Any = answer.to_asgi_response(None, request)
        await encoded(scope, receive, send)

    async def _answer(self, request: ApiRequest) -> Response[Any]:
        await self._admit(request)
        if not await request.body():
            raise body_is_missing()
        answer: Response[Any] = await self._handle(request, data=await request.json())
        return answer

    def _takes(self, scope: Scope) -> bool:
        if scope["type"] != "http":
            return False
        if scope["path"] != self._path or scope["method"] != self._method:
            return False
        hosts = (value for name, value in scope["headers"] if name == b"host")
        return _PLAIN_HOST.fullmatch(next(hosts, b"")) is not None


def route_handler(api: Litestar, method: str, path: str) -> HTTPRouteHandler:
    """What Litestar would call.

    Raises:
        LookupError: when it has no such route.
        ValueError: when it would do more than `Direct` does, such as asking a guard.
    """
    for route in api.routes:
        if isinstance(route, HTTPRoute) and route.path == path:
            for handler in route.route_handlers:
                if method in handler.http_methods:
                    _refuse_what_is_passed_by(handler)
                    return handler
    raise LookupError(f"there is no route {method} {path}")


def _refuse_what_is_passed_by(handler: HTTPRouteHandler) -> None:
    more = (
        handler.resolve_guards(),
        handler.resolve_middleware(),
        handler.resolve_dependencies(),
        [each for each in handler.ownership_layers if each.after_request],
        handler.resolve_after_response(),
    )
    if any(more):
        raise ValueError(f"{handler} has guards, middleware, dependencies or hooks: see Direct")
