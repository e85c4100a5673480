"""The dashboard's files, from memory, in front of the API."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from internal.adapters.http.frame import CONTENT_SECURITY_POLICY
from tests.support.api import Api, Settings, running_api

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SCRIPT = b"console.log('a script that is worth compressing');" * 20


@pytest.fixture(scope="module")
async def built(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    folder = a_build(tmp_path_factory.mktemp("dist"))
    async with running_api(module_database_url, Settings(dashboard=folder)) as running:
        yield running


def a_build(folder: Path) -> Path:
    (folder / "assets").mkdir()
    (folder / "docs").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>the dashboard</title>")
    (folder / "docs/index.html").write_text("<!doctype html><title>the reference</title>")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets/app-1a2b3c.js").write_bytes(SCRIPT)
    (folder / "assets/app-1a2b3c.js.br").write_bytes(b"as if brotli had made it")
    return folder


@pytest.mark.parametrize("path", ["/", "/index.html", "/jobs", "/jobs/some-id", "/login"])
async def test_a_browser_that_navigates_gets_the_dashboard(built: Api, path: str) -> None:
    answer = await built.client(**BROWSER).get(path)
    assert answer.status_code == 200
    assert "the dashboard" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/v1/nope", "/v1/jobs/some-id", "/v1/jobs"])
async def test_a_browser_that_navigates_to_the_api_gets_the_api(built: Api, path: str) -> None:
    answer = await built.client(**BROWSER).get(path)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json"])
async def test_a_browser_may_look_at_the_operators_routes(built: Api, path: str) -> None:
    answer = await built.client(**BROWSER).get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


async def test_what_is_neither_file_nor_navigation_is_not_found(built: Api) -> None:
    for path in (
        "/jobs",
        "/assets/gone-1a2b3c.js",
        "/../pyproject.toml",
        "/assets/app-1a2b3c.js.br",
    ):
        answer = await built.client().get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND"), path
    answer = await built.client(**BROWSER).post("/jobs")
    assert answer.status_code == 404


async def test_hashed_files_are_kept_for_ever_and_others_are_asked_for(built: Api) -> None:
    client = built.client()
    hashed = await client.get("/assets/app-1a2b3c.js")
    assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert hashed.headers["content-type"] == "text/javascript; charset=utf-8"
    named = await client.get("/favicon.svg")
    assert named.headers["cache-control"] == "no-cache"
    assert named.headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("identity", None),
        ("", None),
    ],
)
async def test_files_go_out_in_the_best_encoding_that_is_accepted(
    built: Api, accepted: str, chosen: str | None
) -> None:
    client = built.client(**{"Accept-Encoding": accepted})
    async with client.stream("GET", "/assets/app-1a2b3c.js") as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers.get("content-encoding") == chosen
    assert answer.headers["vary"] == "accept-encoding"
    plain = gzip.decompress(raw) if chosen == "gzip" else raw
    assert plain == (b"as if brotli had made it" if chosen == "br" else SCRIPT)


async def test_a_file_that_a_browser_has_is_not_sent_again(built: Api) -> None:
    client = built.client(**{"Accept-Encoding": "gzip"})
    first = await client.get("/favicon.svg")
    for known in (first.headers["etag"], f'"other", {first.headers["etag"]}'):
        again = await client.get("/favicon.svg", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    changed = await client.get("/favicon.svg", headers={"If-None-Match": '"other"'})
    assert changed.status_code == 200


async def test_the_reference_keeps_to_the_policy_of_every_page(built: Api) -> None:
    for path in ("/docs", "/docs/"):
        answer = await built.client(**BROWSER).get(path)
        assert "the reference" in answer.text
        (policy,) = answer.headers.get_list("content-security-policy")
        assert policy == CONTENT_SECURITY_POLICY


async def test_without_a_build_a_page_says_how_to_make_one(api: Api) -> None:
    for path in ("/", "/docs"):
        answer = await api.client(**BROWSER).get(path)
        assert answer.status_code == 200
        assert "make run" in answer.text
