"""Takes the README's pictures: the real server, the real dashboard, the jobs of a small shop.

Starts `windlass serve` on a free port with a data directory of its own, submits jobs over HTTP
until some stand in every state, and looks at them with Chromium (`CHROMIUM` names it).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
from playwright.async_api import Page, async_playwright

from internal.adapters.embedded import running_dsn

ROOT: Final = Path(__file__).parent.parent
IMAGES: Final = ROOT / "docs/images"
ACCOUNT: Final = {"email": "ada@example.com", "password": "correct horse"}
PATIENCE_S: Final = 60
SLOTS: Final = 3

# What ran within the last seconds, told as if it had run in waves over the last hour: nobody waits
# an hour for a picture. The sums stay what they are.
SPREAD: Final = """
with ran as (
  delete from minute returning *
),
total as (
  select user_id, sum(succeeded) as jobs, sum(failed) as failed from ran group by user_id
),
wave as (
  select n, sum(1.3 + sin(n / 4.0)) over (order by n) / sum(1.3 + sin(n / 4.0)) over () as until
  from generate_series(1, 58) as n
),
told as (
  select user_id, n, failed, floor(jobs * until) as until from total, wave
)
insert into minute (user_id, at, succeeded, failed)
select user_id, date_trunc('minute', now()) - (59 - n) * interval '1 minute',
       until - lag(until, 1, 0) over (order by n), case when n = 40 then failed else 0 end
from told
"""


class Shop:
    """A client that submits the shop's jobs."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def sign_up(self) -> None:
        """Make the account and use its token from now on."""
        answer = await self._http.post("/v1/signup", json=ACCOUNT)
        token = answer.raise_for_status().json()["data"]["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    async def submit(self, type_: str, payload: dict[str, Any], **fields: Any) -> str:
        """The id of a new job."""
        job = {"type": type_, "payload": payload, **fields}
        answer = await self._http.post("/v1/jobs", json=job)
        return str(answer.raise_for_status().json()["data"]["id"])

    async def batch(self, jobs: list[dict[str, Any]]) -> None:
        """Many at once."""
        (await self._http.post("/v1/jobs/batch", json={"jobs": jobs})).raise_for_status()

    async def cancel(self, job_id: str) -> None:
        """Cancel a job."""
        (await self._http.post(f"/v1/jobs/{job_id}/cancel")).raise_for_status()

    async def until(self, **counts: int) -> None:
        """Wait until so many jobs have each of these statuses."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                stats = (await self._http.get("/v1/stats")).raise_for_status().json()["data"]
                by_status = stats["counts"]["by_status"]
                if all(by_status[status] == count for status, count in counts.items()):
                    return
                await asyncio.sleep(0.1)


async def main() -> None:
    """Take both pictures."""
    with tempfile.TemporaryDirectory(prefix="windlass-pictures-") as folder:
        async with _serving(Path(folder)) as url:
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                invoice = await _fill(Shop(http), Path(folder))
            await _take_pictures(url, invoice)


async def _fill(shop: Shop, data_dir: Path) -> str:
    """Jobs in every state; returns the id of the one whose page is shown."""
    await shop.sign_up()
    for _ in range(12):
        await shop.batch([_thumbnail(f"cat-{number:03}.jpeg") for number in range(30)])
        await shop.until(queued=0, running=0)
    await _spread(data_dir)
    await shop.batch([_thumbnail(f"dog-{number:03}.jpeg") for number in range(4)])
    await shop.submit("image.thumbnail", {"image": "scan.tiff"}, max_attempts=1, queue="images")
    canceled = await shop.submit("mail.welcome", {"to": "bob@example.com"}, run_at=_in(hours=1))
    await shop.cancel(canceled)
    invoice = await shop.submit(
        "invoice.send",
        {"order": 1042, "customer": "ada@example.com", "cents": [1999, 250, 4900]},
        backoff={"base_ms": 300},
        priority="high",
        tags=["eu", "december"],
    )
    await shop.submit("mail.welcome", {"to": "eve@example.com", "works_at": 2})
    await shop.batch([{"type": "mail.welcome", "payload": {"to": "joe@example.com"}}])
    await shop.until(queued=0, running=0, scheduled=1)
    await shop.submit("image.thumbnail", {"image": "poster.tiff"}, max_attempts=1, queue="images")
    await shop.until(queued=0, running=0, scheduled=1)
    for month, share in (("2026-09", 0.82), ("2026-10", 0.47), ("2026-11", 0.15)):
        await shop.submit("report.monthly", {"month": month, "upto": share}, queue="reports")
    await shop.until(running=SLOTS)
    await shop.submit(
        "report.monthly", {"month": "2026-12", "upto": 1}, run_at=_in(hours=20), queue="reports"
    )
    await shop.submit("mail.welcome", {"to": "kim@example.com"}, priority="high")
    await shop.submit("image.thumbnail", {"image": "owl.jpeg"}, queue="images", priority="low")
    return invoice


def _thumbnail(image: str) -> dict[str, Any]:
    return {"type": "image.thumbnail", "payload": {"image": image}, "queue": "images"}


def _in(**duration: float) -> str:
    return (datetime.now(UTC) + timedelta(**duration)).isoformat()


async def _spread(data_dir: Path) -> None:
    connection = await asyncpg.connect(running_dsn(data_dir))
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if not await connection.fetchval("select exists (select from counter_delta)"):
                    break
                await asyncio.sleep(0.1)
        await connection.execute(SPREAD)
    finally:
        await connection.close()


async def _take_pictures(url: str, invoice: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        page = await browser.new_page(
            viewport={"width": 1200, "height": 900},
            device_scale_factor=1.5,
            color_scheme="light",
            reduced_motion="reduce",
        )
        await page.goto(f"{url}/login")
        await page.get_by_label("Email").fill(ACCOUNT["email"])
        await page.get_by_label("Password", exact=True).fill(ACCOUNT["password"])
        await page.get_by_role("button", name="Log in").click()
        await _picture(page, "jobs.png", "table tbody tr >> nth=12")
        await page.goto(f"{url}/jobs/{invoice}")
        await _picture(page, "job.png", "text=refused the connection", whole=True)
        await browser.close()


async def _picture(page: Page, name: str, once_there: str, *, whole: bool = False) -> None:
    """A picture of what the window shows, or of the whole page."""
    await page.locator(once_there).first.wait_for()
    await page.get_by_title("Changes appear as they happen").wait_for()
    await page.mouse.move(0, 0)
    await page.screenshot(path=IMAGES / name, full_page=whole, animations="disabled")
    print(f"docs/images/{name}")


@asynccontextmanager
async def _serving(data_dir: Path) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "DATABASE_URL": "",
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "WINDLASS_DATA_DIR": str(data_dir),
        "WINDLASS_HANDLERS": "docs.demo_jobs",
        "WINDLASS_SHUTDOWN_GRACE": "0s",
        "WINDLASS_WORKER_CONCURRENCY": str(SLOTS),
    }
    windlass = Path(sys.executable).with_name("windlass")
    server = await asyncio.create_subprocess_exec(
        windlass, "serve", env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield await _ready_url(server)
    finally:
        if server.returncode is None:
            server.send_signal(signal.SIGINT)
        await server.wait()


async def _ready_url(server: asyncio.subprocess.Process) -> str:
    assert server.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        async for line in server.stdout:
            if b"Windlass is ready" in line:
                return line.decode().split()[4]
    sys.exit("windlass serve has ended: see its lines above")


if __name__ == "__main__":
    asyncio.run(main())
