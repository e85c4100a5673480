"""How long an idle worker takes from a submission over HTTP to the start of its handler.

Starts `windlass serve` on a free port with a data directory of its own and submits one job after
the other. The clock starts before the request is sent and stops in the handler's first line.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

ROOT: Final = Path(__file__).parent.parent
WARM_UP: Final = 10
# Long enough for the worker to be idle again, and odd enough not to fall in step with a poll.
PAUSE_S: Final = 0.037


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200, help="how many to submit (default: 200)")
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as folder, _serving(folder) as url:
        taken = sorted(_measure(url, jobs))
    print(f"submit over HTTP to handler start, idle worker, {jobs} jobs one after the other:")
    print(f"  median {statistics.median(taken):.1f} ms")
    print(
        f"  99th percentile {taken[int(0.99 * (len(taken) - 1))]:.1f} ms, worst {taken[-1]:.1f} ms"
    )


def _measure(url: str, jobs: int) -> Iterator[float]:
    with httpx.Client(base_url=url, timeout=30) as client:
        account = {"email": "bench@example.com", "password": secrets.token_hex(16)}
        session = client.post("/v1/signup", json=account).raise_for_status().json()["data"]
        client.headers["Authorization"] = f"Bearer {session['access_token']}"
        for number in range(jobs + WARM_UP):
            time.sleep(PAUSE_S)
            taken = _one(client)
            if number >= WARM_UP:
                yield taken


def _one(client: httpx.Client) -> float:
    """Milliseconds from before the request to the handler's first line."""
    sent = time.time()
    answer = client.post("/v1/jobs", json={"type": "bench.start"}).raise_for_status()
    job = answer.json()["data"]
    while job["status"] != "succeeded":
        time.sleep(0.005)
        job = client.get(f"/v1/jobs/{job['id']}").raise_for_status().json()["data"]
    return float(1000 * (job["result"] - sent))


@contextmanager
def _serving(folder: str) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PORT": str(port),
        "WINDLASS_DATA_DIR": folder,
        "WINDLASS_HANDLERS": "benchmarks.start_clock",
        "WINDLASS_ADMIN_EMAIL": "",
        "DATABASE_URL": "",
        "PYTHONPATH": str(ROOT),
    }
    windlass = Path(sys.executable).with_name("windlass")
    server = subprocess.Popen([windlass, "serve"], env=environment, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        _await_ready(url, server)
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)


def _await_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            sys.exit("windlass serve has ended: see its lines above")
        try:
            if httpx.get(f"{url}/ready").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    sys.exit("windlass serve was not ready within 60 s")


if __name__ == "__main__":
    main()
