"""The job types in the README's pictures: a small shop."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from windlass import JobContext, Retry, handler

REFUSALS: Final = 2


class Report(msgspec.Struct):
    """`upto` is how much of it gets done before it stays as it is, so that it holds still."""

    month: str
    upto: float


class Invoice(msgspec.Struct):
    """An invoice for a mail server that refuses the first connections."""

    order: int
    customer: str
    cents: list[int]


@handler("report.monthly")
async def report(job: Report, ctx: JobContext) -> None:
    """Build a month's sales report."""
    ctx.progress(job.upto)
    await asyncio.sleep(3600)


@handler("invoice.send", max_attempts=5)
async def invoice(job: Invoice, ctx: JobContext) -> dict[str, Any]:
    """Add up an order and mail it."""
    await asyncio.sleep(0.4)
    if ctx.attempts < REFUSALS:
        raise ConnectionRefusedError("mail.example.com:587 refused the connection")
    return {"invoice": f"2026-{job.order}", "total_cents": sum(job.cents), "sent_to": job.customer}


@handler("image.thumbnail")
async def thumbnail(job: dict[str, Any], ctx: JobContext) -> dict[str, Any]:
    """Make an image small."""
    await asyncio.sleep(0.05)
    if job["image"].endswith(".tiff"):
        raise ValueError(f"cannot read {job['image']}: not an image format that is known here")
    return {"width": 320, "height": 240}


@handler("mail.welcome")
async def welcome(job: dict[str, Any], ctx: JobContext) -> None:
    """Greet a new customer."""
    await asyncio.sleep(0.03)
    if ctx.attempt < job.get("works_at", 1):
        raise Retry("the mail server asked to come back later", after="10m")
