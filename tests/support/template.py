from __future__ import annotations

import asyncio
from pathlib import Path


async def migrate(url: str) -> None:
    """Bring a database to the newest revision; there is none before the first migration."""
    if not Path("migrations/env.py").exists():
        return
    await asyncio.to_thread(_upgrade, url)
