"""A client that adds as little to a request as Python can."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

import msgspec

from benchmarks.errors import BenchError

TIMEOUT_S: Final = 30.0
POLL_S: Final = 0.05


class Sent(msgspec.Struct, frozen=True):
    """A job that was submitted, and when, by the machine's clock."""

    id: str
    at: float


class Client:
    """One connection to one API, kept alive."""

    def __init__(self, port: int, token: str = "") -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def post(self, path: str, body: Any) -> Any:
        """The data of the answer."""
        return self._ask("POST", path, json.dumps(body))

    def get(self, path: str) -> Any:
        """The data of the answer."""
        return self._ask("GET", path)

    def answers(self, path: str) -> bool:
        """Whether a server is there and well."""
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            self._connection.close()
            return False
        return response.status == 200  # noqa: PLR2004 - OK

    def submit_clocks(self, jobs: int, pause_s: float) -> list[Sent]:
        """Submit jobs that tell when they start, one after the other."""
        sent = []
        for _ in range(jobs):
            at = time.time()
            sent.append(Sent(self.post("/v1/jobs", {"type": "bench.clock"})["id"], at))
            time.sleep(pause_s)
        return sent

    def waits_ms(self, sent: Sequence[Sent], patience_s: float) -> list[float]:
        """From before each request to the handler's first line.

        Raises:
            BenchError: when a job has not ended in time.
        """
        deadline = time.monotonic() + patience_s
        return [1000 * (self._started(each.id, deadline) - each.at) for each in sent]

    def _started(self, job_id: str, deadline: float) -> float:
        while (job := self.get(f"/v1/jobs/{job_id}"))["status"] != "succeeded":
            if time.monotonic() > deadline:
                raise BenchError(f"a job that had to start soon is still {job['status']}")
            time.sleep(POLL_S)
        return float(job["result"])

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        self._connection.request(method, path, body, self._headers)
        response = self._connection.getresponse()
        said = response.read()
        if response.status >= 300:  # noqa: PLR2004 - neither OK nor Created
            raise BenchError(f"{method} {path} answered {response.status}: {said.decode()}")
        return json.loads(said)["data"]
