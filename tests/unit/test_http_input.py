"""What an `http` job may ask for."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.adapters.handlers.http_input import HttpInput


def decode(**fields: object) -> HttpInput:
    return msgspec.json.decode(msgspec.json.encode(fields), type=HttpInput)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTP://Example.COM:8080/a/b?c=d#e",
        "http://a_b.example.com./",
        "http://xn--bcher-kva.example/%20",
        "http://[2606:4700::1111]:8443/",
        "http://93.184.216.34/",
        # Numbers that the system reads as addresses; the address they come to is what is checked.
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://localhost/",
    ],
)
def test_an_absolute_http_url_is_taken(url: str) -> None:
    assert decode(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http:/example.com",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:word@example.com/",
        "http://@example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:-1/",
        "http://example.com:http/",
        "http://exa mple.com/",
        "http://example.com/\r\nX: y",
        "http://example.com/\x00",
        "http://example.com/\n",
        "http://b\u00fccher.example/",
        "http://\u2488\u2488/",
        "http://example.com\\@127.0.0.1/",
        "http://a..b/",
        "http://.a/",
        "http://-a/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}example/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[::g]/",
        "http://127.0.0.1%2f@example.com/",
        f"http://example.com/{'a' * 8192}",
    ],
)
def test_any_other_url_is_refused_at_submission(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(url=url)


@given(st.text() | st.from_regex(r"https?://[^/]{1,20}(/.*)?"))
def test_no_url_gets_past_the_check_but_by_name_or_refusal(url: str) -> None:
    try:
        taken = decode(url=url)
    except msgspec.ValidationError:
        return
    assert taken.url.isascii()
    assert taken.url.isprintable()
    assert "@" not in taken.url.split("/")[2]


@pytest.mark.parametrize(
    "name",
    ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "TE", "Windlass-Job-Id"],
)
def test_headers_that_windlass_sets_are_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="leave it out"):
        decode(url="http://example.com", headers={name: "x"})


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "\u00e9", "a\x00", "a" * 101])
def test_a_header_name_is_a_token(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(url="http://example.com", headers={name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\n", "\x00", " a", "a ", "\u00e9", "a" * 8193])
def test_a_header_value_cannot_end_its_line(value: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(url="http://example.com", headers={"X-A": value})


@pytest.mark.parametrize("value", ["", "a", "a\tb c", "Bearer abc==", '"quoted", list'])
def test_an_ordinary_header_value_is_taken(value: str) -> None:
    assert decode(url="http://example.com", headers={"X-A": value}).headers == {"X-A": value}


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "CONNECT"},
        {"method": "get"},
        {"timeout_ms": 0},
        {"timeout_ms": 3_600_001},
        {"body": {"a": 1}},
        {"headers": {f"x-{number}": "" for number in range(65)}},
        {"json": {}},
    ],
)
def test_other_methods_limits_and_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(url="http://example.com", **fields)


def test_the_input_documents_itself() -> None:
    schema = msgspec.json.schema(HttpInput)["$defs"]["HttpInput"]
    assert schema["required"] == ["url"]
    assert set(schema["properties"]) == {"url", "method", "headers", "body", "timeout_ms"}
