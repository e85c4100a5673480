"""What a route costs at least: Litestar on our own web server, and nothing behind it."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta

import msgspec
import uvloop
from litestar import Litestar, get

from internal.bootstrap.listening import listening_socket
from internal.bootstrap.process import follow_parent
from internal.bootstrap.web_server import serve_app


class Hello(msgspec.Struct, frozen=True):
    """The answer."""

    message: str


@get("/hello")
async def hello() -> Hello:
    """Greets."""
    return Hello("hello, world")


async def _main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = Litestar([hello], openapi_config=None, logging_config=None)
    await serve_app(app, listening_socket("127.0.0.1", int(os.environ["PORT"])), stop)


if __name__ == "__main__":
    follow_parent(timedelta(0))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())
