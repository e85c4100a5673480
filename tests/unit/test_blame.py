from __future__ import annotations

from uuid import UUID

import msgspec

from internal.bootstrap.blame import Evidence, blamed, busy_threads
from internal.domain.ids import new_id
from internal.services.worker.supervision import HandlerCode, Marks, RunningAttempt

PID = 100
NONE = UUID(int=0)
STACKS = """Thread 0x00007f48f6dfe6c0 (most recent call first):
  File "/app/jobs.py", line 8 in in_thread
  File "/usr/lib/python3.11/threading.py", line 982 in run

Current thread 0x00007f48f6dfe111 (most recent call first):
  File "/usr/lib/python3.11/re/__init__.py", line 166 in match
  File "/app/jobs.py", line 12 in on_loop
  File "/app/internal/services/worker/executor.py", line 1 in _run
"""
HANDLERS = [
    HandlerCode("loop", "/app/jobs.py", "on_loop", on_loop=True),
    HandlerCode("other", "/app/jobs.py", "other", on_loop=True),
    HandlerCode("thread", "/app/jobs.py", "in_thread", on_loop=False),
]


def marks(started: UUID = NONE, in_thread: UUID = NONE, thread: int = 0) -> bytes:
    memory = bytearray(Marks.SIZE)
    memory[Marks.STARTED] = started.bytes
    memory[Marks.IN_THREAD] = Marks.in_thread(in_thread, thread)
    return bytes(memory)


EVIDENCE = Evidence(PID, STACKS, [PID], [], HANDLERS, marks())


def evidence(**changes: object) -> Evidence:
    return msgspec.structs.replace(EVIDENCE, **changes)


def an_attempt(type_: str, thread: int = 0) -> RunningAttempt:
    return RunningAttempt(new_id(), type_, thread)


def test_the_only_attempt_whose_handler_the_busy_main_thread_shows_is_to_blame() -> None:
    guilty, beside = an_attempt("loop"), an_attempt("other")

    assert blamed(evidence(attempts=[guilty, beside])) == [guilty.job_id]


def test_an_attempt_that_began_after_the_last_sign_is_known_by_its_mark() -> None:
    guilty = new_id()

    assert blamed(evidence(attempts=[an_attempt("other")], marks=marks(guilty))) == [guilty]


def test_of_two_that_may_be_it_none_is_to_blame() -> None:
    two = [an_attempt("loop"), an_attempt("loop")]

    assert blamed(evidence(attempts=two)) == []
    assert blamed(evidence(attempts=two[:1], marks=marks(new_id()))) == []


def test_a_main_thread_that_runs_no_handler_blames_none() -> None:
    assert blamed(evidence(attempts=[an_attempt("other")])) == []
    assert blamed(evidence(stacks="", marks=marks(new_id()))) == []


def test_the_attempt_of_the_busy_thread_is_to_blame() -> None:
    guilty, beside = an_attempt("thread", thread=107), an_attempt("thread", thread=108)
    late = new_id()

    assert blamed(evidence(busy=[107], attempts=[beside, guilty])) == [guilty.job_id]
    assert blamed(evidence(busy=[109], marks=marks(in_thread=late, thread=109))) == [late]
    assert blamed(evidence(busy=[110], attempts=[beside, guilty])) == []


def test_while_no_thread_is_busy_none_is_to_blame() -> None:
    assert blamed(evidence(busy=[], attempts=[an_attempt("loop")])) == []


def test_a_thread_is_busy_when_it_has_most_of_the_processor() -> None:
    before = {1: 10, 2: 50, 3: 0}

    assert busy_threads(before, {1: 10, 2: 80, 3: 2}) == [2]
    assert busy_threads(before, {1: 11, 2: 50, 3: 0}) == []
    assert busy_threads(before, {1: 20, 2: 60, 3: 0}) == []
    assert busy_threads({}, {4: 500}) == []
