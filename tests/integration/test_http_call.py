"""The `http` job type against real sockets on loopback."""

import asyncio
import re
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Network
from typing import Any

import pytest
import trustme

from internal.adapters.handlers.cancellation import CanceledError
from internal.adapters.handlers.http_answer import HttpAnswer
from internal.adapters.handlers.http_call import http_handler
from internal.adapters.handlers.http_input import HttpInput
from internal.domain.outcomes import Fail, Retry
from tests.support.contexts import AttemptContext
from tests.support.http_server import Received, raw, reply, serving

LOOPBACK = (IPv4Network("127.0.0.0/8"),)


class Names:
    """A resolver that gives each look-up the next of its answers."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        assert port
        self.asked.append(host)
        return self.answers[len(self.asked) - 1]


async def call(job: HttpInput, ctx: AttemptContext | None = None, **options: Any) -> HttpAnswer:
    options.setdefault("tls", ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    answer = await http_handler(LOOPBACK, **options).function(job, ctx or AttemptContext())
    assert isinstance(answer, HttpAnswer)
    return answer


async def answered(answer: bytes) -> HttpAnswer:
    async with serving(raw(answer)) as server:
        return await call(HttpInput(f"http://127.0.0.1:{server.port}/"))


async def test_the_request_goes_out_as_asked_and_says_which_job_it_is() -> None:
    ctx = AttemptContext(attempt=2)
    async with serving(reply(body=b"ok", headers={"X-Seen": "1", "x-seen": "2"})) as server:
        job = HttpInput(
            f"http://127.0.0.1:{server.port}/a%20b?c=d#e",
            method="POST",
            headers={"Content-Type": "text/plain", "User-Agent": "mine"},
            body="gr\u00fc\u00df",
        )
        answer = await call(job, ctx)
    assert server.received == [
        Received(
            "POST /a%20b?c=d HTTP/1.1",
            {
                "host": f"127.0.0.1:{server.port}",
                "connection": "close",
                "user-agent": "mine",
                "accept": "*/*",
                "accept-encoding": "identity",
                "content-type": "text/plain",
                "windlass-job-id": str(ctx.job_id),
                "windlass-attempt": "2",
                "content-length": "6",
            },
            "gr\u00fc\u00df".encode(),
        )
    ]
    assert answer == HttpAnswer(
        200, {"content-length": "2", "x-seen": "1, 2"}, "ok", truncated=False
    )


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("DELETE", None), ("PUT", "0")])
async def test_only_methods_about_a_body_send_an_empty_one(method: Any, length: str | None) -> None:
    async with serving(reply()) as server:
        await call(HttpInput(f"http://127.0.0.1:{server.port}", method=method))
    assert server.received[0].line == f"{method} / HTTP/1.1"
    assert server.received[0].headers.get("content-length") == length
    assert server.received[0].headers["user-agent"].startswith("Windlass/")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_succeeds(status: int) -> None:
    async with serving(reply(status)) as server:
        assert (await call(HttpInput(f"http://127.0.0.1:{server.port}"))).status == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 499])
async def test_4xx_fails_for_good_and_tells_what_the_server_said(status: int) -> None:
    async with serving(reply(status, b"no such\r\n\x00thing")) as server:
        with pytest.raises(Fail, match=f"answered {status}: no such thing$"):
            await call(HttpInput(f"http://127.0.0.1:{server.port}"))


async def test_of_a_long_error_page_the_beginning_is_told() -> None:
    async with serving(reply(404, b"<h1>Not here</h1>" * 1000)) as server:
        with pytest.raises(Fail, match="answered 404: <h1>Not here</h1>") as caught:
            await call(HttpInput(f"http://127.0.0.1:{server.port}"))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("status", [300, 304, 408, 425, 429, 500, 502, 503, 599])
async def test_the_rest_retries(status: int) -> None:
    async with serving(reply(status)) as server:
        with pytest.raises(Retry, match=f"answered {status}") as caught:
            await call(HttpInput(f"http://127.0.0.1:{server.port}"))
    assert caught.value.after is None


async def test_a_redirect_is_not_followed() -> None:
    async with serving(reply()) as target:
        elsewhere = {"Location": f"http://127.0.0.1:{target.port}/"}
        async with serving(reply(302, headers=elsewhere)) as server:
            told = f"answered 302 and names {elsewhere['Location']}, which is not followed"
            with pytest.raises(Retry, match=re.escape(told)):
                await call(HttpInput(f"http://127.0.0.1:{server.port}"))
    assert target.received == []


@pytest.mark.parametrize("status", [302, 429, 503])
async def test_retry_after_is_honoured_in_seconds(status: int) -> None:
    async with serving(reply(status, headers={"Retry-After": "120"})) as server:
        with pytest.raises(Retry) as caught:
            await call(HttpInput(f"http://127.0.0.1:{server.port}"))
    assert caught.value.after == timedelta(seconds=120)


async def test_retry_after_is_honoured_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with serving(reply(503, headers={"Retry-After": date})) as server:
        with pytest.raises(Retry) as caught:
            await call(HttpInput(f"http://127.0.0.1:{server.port}"))
    assert caught.value.after is not None
    assert timedelta(minutes=55) < caught.value.after <= timedelta(hours=1)


async def test_a_long_body_is_cut_and_said_to_be() -> None:
    for size, truncated in ((65_536, False), (65_537, True), (1_000_000, True)):
        async with serving(reply(body=b"x" * size)) as server:
            answer = await call(HttpInput(f"http://127.0.0.1:{server.port}"))
        assert (len(answer.body), answer.truncated) == (min(size, 65_536), truncated)


async def test_a_body_that_is_no_text_is_read_with_replacements() -> None:
    answer = await answered(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na\xff\x00b")
    assert answer.body == "a\ufffd\x00b"


async def test_headers_are_kept_up_to_a_limit() -> None:
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(40))
    answer = await answered(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n")
    assert answer.truncated
    assert 10 <= len(answer.headers) <= 16


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
    ],
)
async def test_what_is_no_http_answer_retries(answer: bytes) -> None:
    with pytest.raises(Retry, match="did not go through"):
        await answered(answer)


async def test_a_refused_connection_retries() -> None:
    async with serving(reply()) as server:
        port = server.port
    with pytest.raises(Retry, match=r"127\.0\.0\.1 did not go through"):
        await call(HttpInput(f"http://127.0.0.1:{port}"))


async def test_a_name_that_does_not_resolve_retries() -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(Retry, match="Name or service not known"):
        await call(HttpInput("http://nowhere.example"), resolve=unknown)


async def drip(writer: asyncio.StreamWriter) -> None:
    """Never ends, and is never silent for long."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_the_timeout_covers_a_body_that_drips() -> None:
    async with serving(drip) as server:
        with pytest.raises(Retry, match=r"no complete answer within 0\.3 s"):
            await call(HttpInput(f"http://127.0.0.1:{server.port}", timeout_ms=300))


async def test_the_timeout_covers_the_look_up_of_the_name() -> None:
    async def silent(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    with pytest.raises(Retry, match="no complete answer"):
        await call(HttpInput("http://slow.example", timeout_ms=50), resolve=silent)


async def test_a_cancel_ends_the_call() -> None:
    ctx = AttemptContext()

    async def cancel(writer: asyncio.StreamWriter) -> None:
        ctx.canceled = True
        await drip(writer)

    async with serving(cancel) as server:
        with pytest.raises(CanceledError):
            await call(HttpInput(f"http://127.0.0.1:{server.port}"), ctx)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "0", "[::1]", "127.1"]
)
async def test_loopback_is_refused_for_good_whether_or_not_something_listens(host: str) -> None:
    refused = http_handler(()).function
    messages = set()
    async with serving(reply()) as server:
        for port in (server.port, 9):
            with pytest.raises(Fail, match="no public address") as caught:
                await refused(HttpInput(f"http://{host}:{port}/"), AttemptContext())
            messages.add(str(caught.value))
    assert server.received == []
    assert len(messages) == 1


@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f.1"])
async def test_an_allowed_network_is_reached_under_any_of_its_names(host: str) -> None:
    async with serving(reply(body=b"in")) as server:
        assert (await call(HttpInput(f"http://{host}:{server.port}"))).body == "in"


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(reply(500)) as proxy, serving(reply(body=b"direct")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answer = await call(HttpInput(f"http://127.0.0.1:{server.port}"))
    assert answer.body == "direct"
    assert proxy.received == []


async def test_a_name_is_resolved_once_and_the_checked_address_is_called() -> None:
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    async with serving(reply()) as server:
        job = HttpInput(f"http://rebinding.example:{server.port}", timeout_ms=5000)
        with pytest.raises(Retry, match="did not go through"):
            await call(job, resolve=names)
    assert names.asked == ["rebinding.example"]
    assert server.received == []


async def test_of_many_addresses_only_the_permitted_ones_are_tried() -> None:
    names = Names(["169.254.169.254", "::1", "127.0.0.2", "127.0.0.1"])
    async with serving(reply(body=b"here")) as server:
        answer = await call(HttpInput(f"http://many.example:{server.port}/"), resolve=names)
    assert answer.body == "here"
    assert server.received[0].headers["host"] == f"many.example:{server.port}"


async def test_a_name_with_closed_addresses_only_is_refused() -> None:
    names = Names(["169.254.169.254", "10.0.0.1", "::ffff:192.168.0.1"])
    with pytest.raises(Fail, match=r"metadata\.example has no public address"):
        await call(HttpInput("http://metadata.example/"), resolve=names)


def certified(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for the name, and a client's that trusts its issuer."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def test_tls_asks_for_and_checks_the_name_not_the_address() -> None:
    asked: list[str | None] = []
    server_tls, trust = certified("secure.example")
    server_tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with serving(reply(body=b"safe"), tls=server_tls) as server:
        job = HttpInput(f"https://secure.example:{server.port}")
        answer = await call(job, resolve=Names(["127.0.0.1"]), tls=trust)
    assert answer.body == "safe"
    assert asked == ["secure.example"]


async def test_a_certificate_of_another_name_or_issuer_is_not_taken() -> None:
    server_tls, trust = certified("other.example")
    async with serving(reply(), tls=server_tls) as server:
        for client_tls in (trust, None):
            with pytest.raises(Retry, match="certificate verify failed"):
                await call(
                    HttpInput(f"https://secure.example:{server.port}"),
                    resolve=Names(["127.0.0.1"]),
                    tls=client_tls,
                )
    assert server.received == []
