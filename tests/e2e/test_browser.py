"""The dashboard in a real browser against the real server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.support.serving import free_port, windlass

CHROMIUM = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
BUILD = Path(__file__).parents[2] / "web" / "dist" / "index.html"
# Without them a Chromium in a closed network tries to reach its makers' hosts at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "correct horse"
PAYLOAD = '{"sleep_ms": 700, "result": {"big": 12345678901234567890123, "price": 1.10}}'

pytestmark = [
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"there is no Chromium at {CHROMIUM}"),
    pytest.mark.skipif(not BUILD.exists(), reason="the dashboard is not built: make run builds it"),
]


@pytest.fixture(scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    port = free_port()
    folder = str(tmp_path_factory.mktemp("browser") / "data")
    async with windlass("serve", PORT=port, WINDLASS_DATA_DIR=folder) as serve:
        await serve.says("Windlass is ready")
        yield f"http://127.0.0.1:{port}"
        serve.press_ctrl_c()
        await serve.end()


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


@asynccontextmanager
async def signed_up(browser: Browser, url: str, email: str) -> AsyncIterator[Page]:
    """A person at the dashboard; whatever their browser complains of fails the test."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    context = await browser.new_context(base_url=url)
    page = await context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto("/signup")
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    yield page
    await context.close()
    assert complaints == []


async def submit_mock(page: Page) -> None:
    await page.get_by_role("link", name="Submit a job").first.click()
    await page.get_by_label("Type", exact=True).select_option("mock")
    await page.get_by_label("Payload").fill(PAYLOAD)
    await page.get_by_role("button", name="Submit", exact=True).click()


async def test_somebody_signs_up_submits_and_sees_the_job_succeed_without_reloading(
    browser: Browser, url: str
) -> None:
    async with signed_up(browser, url, "ada@example.com") as page:
        loads: list[str] = []
        page.on("load", lambda loaded: loads.append(loaded.url))

        await submit_mock(page)
        await expect(page.get_by_text("succeeded", exact=True).first).to_be_visible()
        await expect(page.get_by_role("status")).to_contain_text("mock")
        result = page.get_by_role("region", name="Result")
        await expect(result).to_contain_text("12345678901234567890123")
        await expect(result).to_contain_text("1.10")
        await page.get_by_role("link", name="Jobs", exact=True).click()
        await expect(page.get_by_role("row").filter(has_text="succeeded")).to_have_count(1)

        assert loads == []


async def test_a_session_lasts_over_a_reload_and_ends_with_a_log_out(
    browser: Browser, url: str
) -> None:
    async with signed_up(browser, url, "eve@example.com") as page:
        await page.reload()
        await expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()

        await page.get_by_role("button", name="Account").click()
        await page.get_by_text("Log out").click()
        await expect(page.get_by_role("button", name="Log in")).to_be_visible()
        await page.goto("/jobs")
        await expect(page.get_by_role("button", name="Log in")).to_be_visible()


async def test_two_people_never_see_each_others_jobs(browser: Browser, url: str) -> None:
    async with (
        signed_up(browser, url, "one@example.com") as one,
        signed_up(browser, url, "two@example.com") as two,
    ):
        await submit_mock(one)
        await expect(one.get_by_text("succeeded", exact=True).first).to_be_visible()

        await expect(two.get_by_text("Run your first job")).to_be_visible()
        await expect(two.get_by_role("status")).not_to_contain_text("mock")
