from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest

from internal.bootstrap.errors import StartError
from internal.bootstrap.listening import browser_url, listening_socket
from internal.bootstrap.web_server import serve_app


async def test_a_stop_lets_the_last_request_finish_and_frees_the_port() -> None:
    arrived, stop = asyncio.Event(), asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        arrived.set()
        await stop.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"finished"})

    listener = listening_socket("127.0.0.1", 0)
    port = listener.getsockname()[1]
    serving = asyncio.create_task(serve_app(app, listener, stop))
    async with httpx.AsyncClient() as client:
        asking = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
        await arrived.wait()
        stop.set()
        answer = await asking
    await serving

    assert answer.text == "finished"
    assert "server" not in answer.headers
    listening_socket("127.0.0.1", port).close()


def test_a_taken_port_is_told_with_the_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} on 127.0.0.1 is taken: set PORT"):
            listening_socket("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_told(host: str) -> None:
    with pytest.raises(StartError, match=f"HOST='{host}' is not an address of this machine"):
        listening_socket(host, 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104
        ("::", "http://[::1]:80"),
        ("jobs.example", "http://jobs.example:80"),
    ],
)
def test_the_browser_is_sent_to_an_address_that_leads_here(host: str, url: str) -> None:
    assert browser_url(host, 80) == url
