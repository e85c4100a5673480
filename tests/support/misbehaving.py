"""Handlers that do what handlers should not, for a real worker."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from windlass import JobContext, Snooze, handler

Payload = dict[str, Any]
KEPT: list[asyncio.Task[None]] = []
FORK = multiprocessing.get_context("fork")


@handler("spin")
async def spin(job: Payload, ctx: JobContext) -> None:
    while True:
        pass


@handler("sleep")
async def sleep(job: Payload, ctx: JobContext) -> None:
    time.sleep(job["seconds"])  # noqa: ASYNC251 - what this is about


@handler("regex")
def regex(job: Payload, ctx: JobContext) -> None:
    re.match(r"(a+)+$", "a" * 40 + "b")


@handler("regex_on_loop")
async def regex_on_loop(job: Payload, ctx: JobContext) -> None:
    re.match(r"(a+)+$", "a" * 40 + "b")


@handler("stdin")
def stdin(job: Payload, ctx: JobContext) -> list[str]:
    ran = subprocess.run(["cat"], capture_output=True, check=True)
    return [ran.stdout.decode(), sys.stdin.read()]


@handler("stdin_on_loop")
async def stdin_on_loop(job: Payload, ctx: JobContext) -> str:
    process = await asyncio.create_subprocess_exec("cat", stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode()


@handler("terminated_process")
def terminated_process(job: Payload, ctx: JobContext) -> int | None:
    process = FORK.Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join(30)
    return process.exitcode


@handler("forked")
async def forked(job: Payload, ctx: JobContext) -> int:
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    return os.WTERMSIG((await asyncio.to_thread(os.waitpid, child, 0))[1])


@handler("pools")
def pools(job: Payload, ctx: JobContext) -> int:
    total = 0
    for _ in range(job["count"]):
        with FORK.Pool(2) as pool:
            total += sum(pool.map(abs, range(3)))
    return total


@handler("returns_in_child")
async def returns_in_child(job: Payload, ctx: JobContext) -> int:
    """A child that comes back to the event loop must not be a second worker."""
    child = os.fork()
    return child and os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, child, 0))[1])


@handler("connections")
def connections(job: Payload, ctx: JobContext) -> list[str]:
    """What a forked child is connected to."""
    reader, writer = os.pipe()
    if not os.fork():
        numbers = [int(each.name) for each in Path("/proc/self/fd").iterdir()]
        os.write(writer, " ".join(filter(None, map(_peer, numbers))).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        return told.read().split()


def _peer(descriptor: int) -> str:
    """Nothing for what is no socket, and for a pair of sockets within a process."""
    try:
        return str(socket.socket(fileno=descriptor).getpeername() or "")
    except OSError:
        return ""


@handler("exit")
async def exits(job: Payload, ctx: JobContext) -> str:
    async def leave() -> None:
        raise {"exit": SystemExit, "interrupt": KeyboardInterrupt}[job["by"]](3)

    match job["in"]:
        case "task":
            KEPT.append(asyncio.create_task(leave()))
        case "callback":
            asyncio.get_running_loop().call_soon(sys.exit, 3)
        case "gather":
            await asyncio.gather(leave(), asyncio.sleep(0.1))
        case _:
            await leave()
    await asyncio.sleep(0.2)
    return "survived"


@handler("thread_eater")
async def thread_eater(job: Payload, ctx: JobContext) -> None:
    """No more threads start, as when there are too many: no memory has room for their stacks."""
    threading.stack_size(1 << 46)


@handler("in_thread")
def in_thread(job: Payload, ctx: JobContext) -> str:
    return threading.current_thread().name


@handler("to_thread")
async def to_thread(job: Payload, ctx: JobContext) -> str:
    return await asyncio.to_thread(lambda: threading.current_thread().name)


@handler("new_executor")
async def new_executor(job: Payload, ctx: JobContext) -> None:
    """Replaces the threads of all jobs by one of its own, and ends even that."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="own"))
    await loop.shutdown_default_executor()


@handler("raises")
async def raises(job: Payload, ctx: JobContext) -> None:
    raise ValueError("no " * 200)


@handler("huge_error")
async def huge_error(job: Payload, ctx: JobContext) -> None:
    raise ValueError("no " * 30_000_000)


@handler("far_delay")
async def far_delay(job: Payload, ctx: JobContext) -> None:
    raise Snooze("9999999d")


@handler("snoozes")
async def snoozes(job: Payload, ctx: JobContext) -> None:
    raise Snooze("0s")


@handler("cycles")
async def cycles(job: Payload, ctx: JobContext) -> None:
    for _ in range(50):
        around: list[object] = [bytearray(10_000_000)]
        around.append(around)
        await asyncio.sleep(0.05)


@handler("swallows")
async def swallows(job: Payload, ctx: JobContext) -> None:
    ends_at = time.monotonic() + job["seconds"]
    while time.monotonic() < ends_at:
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            continue


@handler("hangs")
def hangs(job: Payload, ctx: JobContext) -> None:
    time.sleep(job["seconds"])


@handler("leaves_stubborn_task")
async def leaves_stubborn_task(job: Payload, ctx: JobContext) -> None:
    async def stay() -> None:
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                continue

    KEPT.append(asyncio.create_task(stay()))


@handler("dies")
async def dies(job: Payload, ctx: JobContext) -> None:
    """Ends its process, or holds it until the watchdog ends it; for the first `starts` times."""
    if ctx.attempt > job.get("starts", ctx.attempt):
        return
    match job["how"]:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(7)
        case "terminate":
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)
        case "group":
            os.kill(0, signal.SIGTERM)
            await asyncio.sleep(60)
        case "shell":
            subprocess.run(["sh", "-c", "kill 0"], check=False)  # noqa: ASYNC221
            await asyncio.sleep(60)
        case _:
            while True:
                pass


class Held(Struct):
    """Its payload takes long to match, and nothing else runs meanwhile."""

    text: Annotated[str, Meta(pattern=r"^(a+)+$")]


class Stuck(Struct):
    """A payload that is never read to its end."""

    def __post_init__(self) -> None:
        threading.Event().wait()


@handler("held")
def held(job: Held, ctx: JobContext) -> None: ...


@handler("stuck")
def stuck(job: Stuck, ctx: JobContext) -> None: ...


@handler("deaf")
async def deaf(job: Payload, ctx: JobContext) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)


@handler("cancels_task")
async def cancels_task(job: Payload, ctx: JobContext) -> None:
    """Cancel a task of the process by its name."""
    for task in asyncio.all_tasks():
        if task.get_name() == job["name"]:
            task.cancel()
    await asyncio.sleep(60)
