"""The dashboard's files, served from memory."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from internal.adapters.http.asgi import App, Receive, Scope, Send

INDEX: Final = "/index.html"
DOCS: Final = "/docs/index.html"
ALIASES: Final = {"/": INDEX, "/docs": DOCS, "/docs/": DOCS}

# Files below /assets/ carry a hash of their content in their name.
FOREVER: Final = b"public, max-age=31536000, immutable"
ASK_FIRST: Final = b"no-cache"


TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".ico": b"image/x-icon",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    ".woff2": b"font/woff2",
}
COMPRESSED_ALREADY: Final = frozenset({".ico", ".png", ".woff2"})
PREBUILT: Final = {".br": b"br", ".gz": b"gzip"}

NOT_BUILT: Final = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Windlass</title>
<h1>The dashboard is not built</h1>
<p>The API works: see <a href="/openapi.json">/openapi.json</a>. To build the dashboard, run
<code>make run</code> in a checkout, or <code>npm ci &amp;&amp; npm run build</code> in
<code>web/</code>, and start Windlass again.</p>
</html>
"""

_REFUSED: Final = frozenset({b"q=0", b"q=0.0", b"q=0.00", b"q=0.000"})

Header = tuple[bytes, bytes]


class File(msgspec.Struct, frozen=True):
    """A file with its encodings, the preferred one first; the plain one is called `identity`."""

    headers: tuple[Header, ...]
    etag: str
    bodies: dict[bytes, bytes]


class Dashboard(msgspec.Struct, frozen=True):
    """All files by path; `INDEX` and `DOCS` are always there."""

    files: dict[str, File]


def load_dashboard(folder: Path | None) -> Dashboard:
    """Read a built dashboard; without one, a page says how to build it."""
    files = {INDEX: _file(".html", NOT_BUILT), DOCS: _file(".html", NOT_BUILT)}
    if folder is not None and (folder / "index.html").is_file():
        files |= dict(_read(folder))
    return Dashboard(files)


def _read(folder: Path) -> Iterator[tuple[str, File]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in PREBUILT:
            name = "/" + path.relative_to(folder).as_posix()
            prebuilt = {
                encoding: packed.read_bytes()
                for suffix, encoding in PREBUILT.items()
                if (packed := path.with_name(path.name + suffix)).is_file()
            }
            yield name, _file(path.suffix, path.read_bytes(), prebuilt, name)


def _file(
    suffix: str, body: bytes, prebuilt: dict[bytes, bytes] | None = None, name: str = ""
) -> File:
    bodies = dict(prebuilt or {})
    if suffix not in COMPRESSED_ALREADY:
        bodies.setdefault(b"gzip", gzip.compress(body, mtime=0))
    headers = [
        (b"content-type", TYPES.get(suffix, b"application/octet-stream")),
        (b"cache-control", FOREVER if name.startswith("/assets/") else ASK_FIRST),
        (b"vary", b"accept-encoding"),
    ]
    etag = hashlib.sha256(body).hexdigest()[:32]
    return File(tuple(headers), etag, {**bodies, b"identity": body})


class Site:
    """Answers for files and, to browsers that navigate, for the dashboard's own pages."""

    def __init__(self, api: App, dashboard: Dashboard, api_paths: frozenset[str]) -> None:
        self._api = api
        self._files = dashboard.files
        self._api_paths = api_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = self._find(scope) if scope["type"] == "http" else None
        if file is None:
            await self._api(scope, receive, send)
        else:
            await _send(file, dict(scope["headers"]), send)

    def _find(self, scope: Scope) -> File | None:
        path: str = scope["path"]
        if path.startswith("/v1/") or path in self._api_paths or scope.get("method") != "GET":
            return None
        file = self._files.get(ALIASES.get(path, path))
        if file is None and _is_navigation(scope):
            return self._files[INDEX]
        return file


def _is_navigation(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


async def _send(file: File, asked: dict[bytes, bytes], send: Send) -> None:
    encoding = _encoding(file, asked.get(b"accept-encoding", b""))
    etag = f'"{file.etag}-{encoding.decode()}"'.encode()
    headers = [*file.headers, (b"etag", etag)]
    if etag in asked.get(b"if-none-match", b""):
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    body = file.bodies[encoding]
    headers.append((b"content-length", str(len(body)).encode()))
    if encoding != b"identity":
        headers.append((b"content-encoding", encoding))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _encoding(file: File, accepted: bytes) -> bytes:
    offers = (offer.partition(b";") for offer in accepted.lower().split(b","))
    names = {name.strip() for name, _, quality in offers if quality.strip() not in _REFUSED}
    return next((each for each in file.bodies if each in names), b"identity")
