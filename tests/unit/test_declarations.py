"""Declarations that cannot work are refused where they are made; those that can are taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from internal.adapters.handlers.loading import load_handlers
from internal.domain.handlers import Handler
from internal.domain.jobs import Outcome
from tests.support.conditions import eventually
from tests.support.work import Process, a_claimed_job

HEADER = """
from __future__ import annotations
import asyncio, dataclasses, functools, typing
from collections.abc import Callable
import msgspec
from windlass import JobContext, handler

class Order(msgspec.Struct):
    customer: str

class Plain:
    pass

def passed_on(function):
    @functools.wraps(function)
    def inner(*args, **more):
        return function(*args, **more)
    return inner

def with_session(function):
    @functools.wraps(function)
    async def inner(job, ctx):
        return await function("session", job, ctx)
    return inner
"""

Load = Callable[[str], Handler]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Load:
    """Load the one handler of a module with this text behind `HEADER`."""
    monkeypatch.syspath_prepend(tmp_path)
    name = f"declared_{abs(hash(request.node.name))}"

    def load(text: str) -> Handler:
        (tmp_path / f"{name}.py").write_text(HEADER + text)
        (found,) = load_handlers([name], ()).values()
        return found

    return load


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("async def f(job: Plain, ctx): ...", "type Plain, which no payload can be read into"),
        ("async def f(job: dict[str, complex], ctx): ...", "no payload can be read into"),
        ("async def f(job: Callable[[int], int], ctx): ...", "no payload can be read into"),
        (
            (
                "class A(msgspec.Struct):\n    f: Callable[[int], int]\n"
                "class B(msgspec.Struct):\n    a: A\n@handler('t')\nasync def f(job: B, ctx): ..."
            ),
            "no payload can be read into",
        ),
        (
            (
                "class A(msgspec.Struct):\n    a: int\n"
                "@handler('t')\nasync def f(job: Order | A, ctx): ..."
            ),
            "all Struct types must be tagged",
        ),
        ("async def f(job: list[int], ctx): ...", "payloads are JSON objects"),
        ("async def f(job: int | None, ctx): ...", "payloads are JSON objects"),
        ("async def f(job: typing.Literal['a'], ctx): ...", "payloads are JSON objects"),
        ("async def f(ctx: JobContext, job: dict): ...", "the payload comes first"),
        ("async def f(ctx: 'windlass.JobContext', job: dict): ...", "the payload comes first"),
        ("async def f(): ...", "takes (nothing)"),
        ("async def f(job: dict): ...", "takes (job)"),
        ("async def f(job: dict, ctx, more): ...", "takes (job, ctx, more)"),
        ("async def f(job: dict, *, ctx): ...", "takes (job, ctx)"),
        ("async def f(job: dict, ctx):\n    yield 1", "it is a generator"),
        ("def f(job: dict, ctx):\n    yield 1", "it is a generator"),
        ("@passed_on\ndef f(job: dict, ctx):\n    yield 1", "it is a generator"),
        ("@passed_on\ndef f(job: dict): ...", "takes (job)"),
        ("class f:\n    def __init__(self, job, ctx): ...", "it is a class"),
        ("async def f(job: Missing[int], ctx): ...", "import Missing outside of"),
        ("async def f(job: 1 / 0, ctx): ...", "cannot be evaluated: division by zero"),
    ],
)
def test_a_function_that_can_run_no_job_is_refused_by_name(
    load: Load, text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match="declared_") as caught:
        load(text if "@handler" in text else f"@handler('t')\n{text}")

    assert reason in str(caught.value)
    assert ".f (type 't'): " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@handler\nasync def f(job, ctx): ...", "the type is missing"),
        ("@handler('')\nasync def f(job, ctx): ...", "1 to 200 characters"),
        ("@handler('a\\nb')\nasync def f(job, ctx): ...", "none for control"),
        ("@handler('t' * 201)\nasync def f(job, ctx): ...", "1 to 200 characters"),
        ("@handler('t', pool='pull:t')\nasync def f(job, ctx): ...", "without a colon"),
        ("@handler('t', timeout=30)\nasync def f(job, ctx): ...", "a text like '30s'"),
        ("handler('t')(5)", "cannot be called"),
        ("import sys\nsys.exit('no key')", "SystemExit: no key"),
        ("async def f(job, ctx): ...", "has no handler"),
    ],
)
def test_what_no_handler_can_be_is_refused_in_one_line(load: Load, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="the module declared_") as caught:
        load(text)

    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


UNBOUND = "async def f(extra, job: Order, ctx):\n    return {'ok': job.customer}\n"
METHOD = "    async def m(self, job: Order, ctx):\n        return {'ok': job.customer}\n"
SYNC_METHOD = METHOD.replace("async ", "")
TYPES_ONLY = "if typing.TYPE_CHECKING:\n    from elsewhere import Ctx, Result\n"


@pytest.mark.parametrize(
    "text",
    [
        "@handler('t')\nasync def f(job: Order, ctx): return {'ok': job.customer}",
        "@handler('t')\ndef f(job: Order, ctx): return {'ok': job.customer}",
        "@handler('t')\n@passed_on\nasync def f(job: Order, ctx): return {'ok': job.customer}",
        "@handler('t')\n@passed_on\ndef f(job: Order, ctx): return {'ok': job.customer}",
        (
            "@handler('t')\n@with_session\nasync def f(session, job: Order, ctx):\n"
            "    return {'ok': job.customer}"
        ),
        UNBOUND + "handler('t')(functools.partial(f, 7))",
        UNBOUND + "handler('t')(functools.partial(functools.partial(f), 7))",
        "class C:\n" + METHOD + "handler('t')(C().m)",
        "class C:\n" + METHOD.replace("m(", "__call__(") + "handler('t')(C())",
        "class C:\n"
        + METHOD.replace("async ", "").replace("m(", "__call__(")
        + "h=handler('t')(C())",
        (
            "async def inner(job, ctx):\n    await asyncio.sleep(0)\n"
            "    return {'ok': job.customer}\n"
            "@handler('t')\ndef f(job: Order, ctx): return inner(job, ctx)"
        ),
        (
            "async def inner(job, ctx): return {'ok': job.customer}\n"
            "@handler('t')\nasync def f(job: Order, ctx): return inner(job, ctx)"
        ),
        TYPES_ONLY + "@handler('t')\nasync def f(job: Order, ctx: Ctx) -> Result:\n"
        "    return {'ok': job.customer}",
        (
            "@dataclasses.dataclass\nclass D:\n    customer: str\n"
            "@handler('t')\nasync def f(job: D, ctx): return {'ok': job.customer}"
        ),
        (
            "class T(typing.TypedDict):\n    customer: str\n"
            "@handler('t')\nasync def f(job: T, ctx): return {'ok': job['customer']}"
        ),
        "@handler('t')\nasync def f(job: Order | None, ctx): return {'ok': job.customer}",
        "@handler('t')\nasync def f(job: typing.Any, ctx): return {'ok': job['customer']}",
        (
            "@handler('t')\nasync def f(job: typing.Mapping[str, str], ctx, more=1):\n"
            "    return {'ok': job['customer']}"
        ),
        (
            "import pydantic\nclass M(pydantic.BaseModel):\n    customer: str\n"
            "@handler('t')\nasync def f(job: M, ctx): return {'ok': job.customer}"
        ),
    ],
)
async def test_a_function_however_it_is_dressed_runs_its_jobs(load: Load, text: str) -> None:
    process = Process(load(text))
    running = await process.start(a_claimed_job("t", payload='{"customer": "Ada"}'))
    assert running.task is not None
    await running.task
    await process.completer.run_once()

    (end,) = process.ends.recorded
    assert (end.outcome, end.result, end.error) == (Outcome.SUCCEEDED, '{"ok":"Ada"}', None)


async def test_an_awaitable_that_hangs_ends_with_its_attempt(load: Load) -> None:
    body = "ctx.log('begun'); await asyncio.sleep(60)"
    process = Process(load(f"@handler('t')\n@passed_on\nasync def f(job: dict, ctx): {body}"))
    running = await process.start(a_claimed_job("t"))
    assert running.task is not None
    await eventually(lambda: running.lines is not None)
    running.time_out()
    await running.task
    await process.completer.run_once()

    assert [end.outcome for end in process.ends.recorded] == [Outcome.TIMED_OUT]


PYDANTIC = """
import pydantic
class Item(pydantic.BaseModel):
    sku: str
    count: typing.Annotated[int, pydantic.Field(gt=0)] = 1
class Cart(pydantic.BaseModel):
    items: list[Item]
@handler('t')
async def f(job: Cart, ctx): ...
"""


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        ("{}", "Field required - at `$.items`"),
        ('{"items": [{"sku": "a", "count": 0}]}', "greater than 0 - at `$.items[0].count`"),
        ('{"items": 5}', "valid array - at `$.items`"),
    ],
)
def test_a_pydantic_model_says_in_a_line_what_does_not_fit(
    load: Load, payload: str, fault: str
) -> None:
    taken = load(PYDANTIC).input

    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        taken.decode(payload)
    assert "\n" not in str(caught.value)
    assert taken.schema["properties"]["items"]["type"] == "array"


def test_the_schema_of_every_kind_of_input_is_an_object(load: Load) -> None:
    schema: Any = load(PYDANTIC).input.schema
    assert schema["type"] == "object"
