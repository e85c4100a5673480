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


async def _talk(app: Any, sent: bytes) -> bytes:
    """All that a server says to these bytes until it closes the connection or is stopped."""
    listener, stop = listening_socket("127.0.0.1", 0), asyncio.Event()
    # So that the connection waits in its queue until the server takes it.
    listener.listen()
    serving = asyncio.create_task(serve_app(app, listener, stop))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(sent)
    said = await reader.read()
    writer.close()
    stop.set()
    await serving
    return said


def _ask(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = "".join(f"{each}\r\n" for each in ("Host: here", *headers))
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


LAST = "Connection: close"


async def _greet(scope: Any, _receive: Any, send: Any) -> None:
    """Whole, in parts or with a header that it got from somewhere, by the path."""
    headers = [(b"content-type", b"text/plain")]
    if scope["path"] == "/whole":
        headers.append((b"content-length", b"5"))
    if scope["path"] == "/broken":
        headers += [(b"content-length", b"5"), (b"x", b"a\r\nx-injected: b")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/parts":
        await send({"type": "http.response.body", "body": b"he", "more_body": True})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"llo"})
    else:
        await send({"type": "http.response.body", "body": b"hello"})


async def test_answers_keep_the_order_of_their_requests_however_they_are_sent() -> None:
    paths = ("/whole", "/parts", "/whole", "/whole", "/parts")
    said = await _talk(_greet, b"".join(map(_ask, paths)) + _ask("/whole", LAST))
    whole, parts = b"\r\n\r\nhello", b"\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    heads, bodies = said.split(b"HTTP/1.1 200 OK\r\n"), (whole, parts, whole, whole, parts, whole)
    assert heads[0] == b""
    assert [head.endswith(body) for head, body in zip(heads[1:], bodies, strict=True)] == [True] * 6


async def test_a_head_has_the_length_and_no_body() -> None:
    said = await _talk(_greet, _ask("/whole", method="HEAD") + _ask("/whole", LAST))
    head, _, rest = said.partition(b"\r\n\r\n")
    assert b"content-length: 5" in head
    assert rest.startswith(b"HTTP/1.1 200 ")


async def test_an_answer_is_sent_though_the_application_fails_after_it() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await _greet(scope, receive, send)
        raise OSError("no space left to log it")

    assert (await _talk(fails, _ask("/whole"))).endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("headers", [(), (LAST,)], ids=["kept", "closed"])
async def test_a_header_cannot_bring_a_line_of_its_own(headers: tuple[str, ...]) -> None:
    assert b"HTTP/1.1 200 " not in await _talk(_greet, _ask("/broken", *headers))


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
