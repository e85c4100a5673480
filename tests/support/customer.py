"""A user of a running `windlass serve`, over HTTP as it listens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx

PERSON = {"email": "ada@example.com", "password": "correct horse"}


class Customer:
    """Submits jobs and looks at what became of them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def sign_up(self, email: str = PERSON["email"]) -> None:
        """Their token outlives a kill: the secret is kept in the data directory."""
        person = PERSON | {"email": email}
        session = (await self.client.post("/v1/signup", json=person)).json()["data"]
        self.client.headers["Authorization"] = f"Bearer {session['access_token']}"

    async def submit(self, count: int, **fields: Any) -> list[str]:
        """Submit as many jobs like this one; their ids."""
        answer = await self.client.post("/v1/jobs/batch", json={"jobs": [fields] * count})
        assert answer.status_code == 201, answer.text
        return [each["id"] for each in answer.json()["data"]["jobs"]]

    async def has(self, status: str, count: int = 1) -> bool:
        """Whether at least so many jobs have this status; False while nothing answers."""
        try:
            answer = await self.client.get("/v1/jobs", params={"status": status, "limit": 200})
        except httpx.TransportError:
            return False
        return answer.is_success and len(answer.json()["data"]) >= count

    async def attempts(self, job_ids: Iterable[str]) -> list[list[dict[str, Any]]]:
        """Every start of each of these jobs, the oldest first."""
        answers = [await self.client.get(f"/v1/jobs/{job_id}/attempts") for job_id in job_ids]
        return [answer.json()["data"][::-1] for answer in answers]


@asynccontextmanager
async def customer(settings: dict[str, str]) -> AsyncIterator[Customer]:
    """Somebody at the server with these settings; it need not listen yet."""
    url = f"http://127.0.0.1:{settings['PORT']}"
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield Customer(client)
