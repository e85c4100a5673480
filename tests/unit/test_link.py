from __future__ import annotations

import os
import socket

import msgspec
import pytest

from internal.bootstrap.link import Link
from internal.bootstrap.messages import IsolatedWanted, Message, Sign
from internal.domain.ids import new_id
from internal.services.worker.supervision import RunningAttempt

# A link lives as long as its process, and is never closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def a_pair() -> tuple[Link, socket.socket]:
    ours, supervisors = socket.socketpair()
    supervisors.setblocking(False)  # noqa: FBT003 - as it is called
    return Link(ours.detach()), supervisors


def drained(supervisors: socket.socket) -> bytes:
    said = b""
    while True:
        try:
            said += supervisors.recv(1_000_000)
        except BlockingIOError:
            return said


def messages(said: bytes) -> list[Message]:
    decode = msgspec.json.Decoder(Message).decode
    return [decode(line) for line in said.splitlines()]


def test_a_supervisor_hears_what_a_worker_says() -> None:
    link, supervisors = a_pair()
    attempt = RunningAttempt(new_id(), "mail", thread=7)

    link.beat(["w-1"], [attempt])
    link.ask_for_isolated_worker()

    assert messages(drained(supervisors)) == [Sign(["w-1"], [attempt]), IsolatedWanted()]


def test_a_supervisor_that_does_not_read_is_not_waited_for_and_reads_whole_lines_later() -> None:
    link, supervisors = a_pair()
    attempts = [RunningAttempt(new_id(), "mail") for _ in range(1000)]
    for _ in range(50):
        link.beat(["w-1"], attempts)

    said = drained(supervisors)
    link.beat(["w-2"], [])
    said += drained(supervisors)
    link.beat(["w-3"], [])
    *signs, last = messages(said + drained(supervisors))

    assert len(signs) < 50
    assert last == Sign(["w-3"], [])


def test_a_supervisor_that_is_gone_is_no_fault() -> None:
    link, supervisors = a_pair()
    supervisors.close()

    link.beat(["w-1"], [])


def test_where_a_pipe_is_held_instead_nothing_is_said() -> None:
    outlet, inlet = os.pipe()
    link = Link(outlet)

    link.beat(["w-1"], [])
    os.close(inlet)
