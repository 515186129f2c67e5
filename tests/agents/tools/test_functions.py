"""Python functions as tools: what a model is told of them, what it may call them with, what it gets back."""

import asyncio
import itertools
import math
import os
import time
from contextlib import asynccontextmanager

import msgspec
import pytest

import interlock as il
from interlock.agents.llm.model import ToolCall
from interlock.agents.llm.toolcalls import ToolCalls
from interlock.agents.process import ProcessPool
from interlock.agents.tools import Toolbox, Workshop
from interlock.agents.tools.functions import FunctionTool
from interlock.agents.tools.tool import Declared
from interlock.core.values import Limits
from interlock.errors import AgentCrashed, AgentError, RateLimited, TeamError
from interlock.team.registry import resolve
from tests.agents.scenes import alive, children, job, pid_in, until

COUNT = itertools.count()
HEAD = """\
import asyncio, datetime, os, pathlib, signal, time, typing
import msgspec
import interlock.errors, interlock as il
"""


@asynccontextmanager
async def tools(folder, source, **keys):
    """The functions of a module, as the tools of one job."""
    module = f"shop_{next(COUNT)}"  # another one each time: a module is imported once
    (folder / f"{module}.py").write_text(HEAD + source)
    workshop = Workshop(ProcessPool(str(folder)), limits=Limits(value_bytes_max=10_000))
    names = [line.split("(")[0].split()[-1] for line in source.splitlines() if line.startswith(("def ", "async def "))]
    made = [
        FunctionTool(Declared(name, use=f"{module}:{name}", **keys), resolve(f"{module}:{name}", folder), workshop)
        for name in names
    ]
    box = Toolbox(made)
    try:
        yield {tool.name: tool for tool in await box.open(job(view={"ticket": {"id": 7}}))}
    finally:
        await workshop.close()


def tool(folder, source, **keys):
    """The tool that a module with one function makes."""

    async def main():
        async with tools(folder, source, **keys) as made:
            return next(iter(made.values()))

    return asyncio.run(main())


def called(folder, source, arguments, **keys):
    async def main():
        async with tools(folder, source, **keys) as made:
            return await next(iter(made.values())).call(arguments)

    return asyncio.run(main())


def failed(folder, source, arguments, **keys):
    with pytest.raises(AgentError) as caught:
        called(folder, source, arguments, **keys)
    return caught.value


# --- what a model is told ---


def test_its_annotations_become_a_schema_and_its_docstring_a_description(tmp_path):
    source = '''
from msgspec import Meta

def refund(order: str, amount: typing.Annotated[float, Meta(gt=0, description="in euros")], notify: bool = True):
    """Give money back.

    Once for each order.
    """
'''
    made = tool(tmp_path, source, effect=True, timeout=3.0)
    assert made.parameters == {
        "type": "object",
        "properties": {
            "order": {"type": "string"},
            "amount": {"type": "number", "exclusiveMinimum": 0, "description": "in euros"},
            "notify": {"type": "boolean"},
        },
        "required": ["order", "amount"],
        "additionalProperties": False,
    }
    assert (made.name, made.description) == ("refund", "Give money back.\n\nOnce for each order.")
    assert (made.effect, made.timeout) == (True, 3.0)


def test_a_declared_description_replaces_the_docstring(tmp_path):
    assert tool(tmp_path, "def look(): 'one'", description="another").description == "another"


def test_types_with_fields_are_defined_apart(tmp_path):
    source = "class Arguments(msgspec.Struct):\n    street: str\nasync def move(to: Arguments): return to.street"
    schema = tool(tmp_path, source).parameters
    name = schema["properties"]["to"]["$ref"].removeprefix("#/$defs/")
    assert schema["$defs"][name]["properties"] == {"street": {"type": "string"}}
    assert called(tmp_path, source, {"to": {"street": "Elm"}}) == "Elm"


def test_a_parameter_without_annotation_takes_anything(tmp_path):
    assert tool(tmp_path, "def look(what): pass").parameters["properties"] == {"what": {}}


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def look(*names): pass", "*names has no name of its own"),
        ("def look(**names): pass", "**names stands for any name"),
        ("def look(a, /): pass", "a can't be given by name"),
        ("def look(a: 'Missing'): pass", "name 'Missing' is not defined"),
        ("def look(a: pathlib.Path): pass", "custom types"),
        (f"def look(a: typing.Literal[{', '.join(map(str, range(20_000)))}]): pass", "bytes of JSON"),
    ],
)
def test_what_no_model_could_call_is_refused(source, why, tmp_path):
    with pytest.raises(TeamError) as refused:
        tool(tmp_path, source)
    assert why in str(refused.value)


# --- calls ---


def test_a_function_runs_in_a_process_of_its_own_and_an_async_one_in_the_loop(tmp_path):
    assert called(tmp_path, "def where(): return os.getpid()", {}) != os.getpid()
    assert called(tmp_path, "async def where(): return os.getpid()", {}) == os.getpid()


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_arguments_become_what_the_annotations_say(kind, tmp_path):
    source = f"{kind} next_day(day: datetime.date, days: int = 1): return str(day + datetime.timedelta(days))"
    assert called(tmp_path, source, {"day": "2026-02-28"}) == "2026-03-01"


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"a": "1"},
        {"a": True},
        {"a": 1, "b": 2},
        {"a": math.nan},
        {"a": 1, 2: 3},
        {"a": object()},
        {"a": "x" * 10_001},
    ],
)
def test_arguments_that_do_not_fit_never_reach_it(kind, arguments, tmp_path):
    marker = tmp_path / "reached"
    error = failed(tmp_path, f"{kind} look(a: int): pathlib.Path({str(marker)!r}).touch()", arguments)
    assert "these are no arguments for it" in error.message
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_parameter_annotated_with_the_job_gets_it_and_is_not_offered(kind, tmp_path):
    source = f"{kind} pay(amount: int, job: il.Job): return [amount, job.idempotency_key, job.view['ticket.id']]"
    assert tool(tmp_path, source).parameters["required"] == ["amount"]
    assert called(tmp_path, source, {"amount": 5}) == [5, "run/s0/1", 7]
    assert "unknown field `job`" in failed(tmp_path, source, {"amount": 5, "job": {}}).message


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_it_raises_is_told_with_its_place_and_without_secrets(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "a-secret-of-shops")
    error = failed(tmp_path, f"{kind} look(): raise KeyError('no order 7 for ' + os.environ['SHOP_TOKEN'])", {})
    said, _, place = error.message.partition(" (")
    assert said == "KeyError: 'no order 7 for [SHOP_TOKEN]'"
    assert place.endswith(".py:4 in look)")


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_the_kind_of_its_error_is_kept(kind, tmp_path):
    source = f"{kind} look(): raise interlock.errors.RateLimited('slowly', retry_after=3)"
    error = failed(tmp_path, source, {})
    assert (type(error), error.message, error.retry_after) == (RateLimited, "slowly", 3)


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize("result", ["{1, 2}", "float('nan')", "'x' * 20_000", "(1, 2)", "{1: 2}", "'\\ud800'"])
def test_a_result_that_is_no_json_within_the_limits_is_an_error(kind, result, tmp_path):
    assert "the result of look can't be used" in failed(tmp_path, f"{kind} look(): return {result}", {}).message


@pytest.mark.parametrize("work", ["def look(): time.sleep(60)", "async def look(): await asyncio.sleep(60)"])
def test_it_is_stopped_at_its_timeout_and_works_the_next_time(work, tmp_path):
    before = children()

    async def main():
        async with tools(tmp_path, work, timeout=0.2) as made:
            for _ in range(2):
                with pytest.raises(AgentError, match=r"look took longer than 0\.2 s and was stopped"):
                    await made["look"].call({})
            await until(lambda: children() <= before)

    asyncio.run(main())


@pytest.mark.slow
def test_its_time_runs_from_when_its_work_begins(tmp_path):
    marker = tmp_path / "slow"
    source = f"if pathlib.Path({str(marker)!r}).exists(): time.sleep(6)\ndef look(): os.kill(os.getpid(), 9)"

    async def main():
        async with tools(tmp_path, source, timeout=0.5) as made:
            calls = ToolCalls([*made.values()])
            for text in ("SIGKILL", "SIGKILL"):  # the second has to import the module once more
                ((_, told),) = await calls.answered([ToolCall("1", "look", "{}")])
                assert text in told
                marker.touch()

    asyncio.run(main())


def test_what_a_call_needs_is_imported_before_its_agent_begins(tmp_path):
    async def main():
        async with tools(tmp_path, "begun = time.monotonic()\ndef since(): return begun") as made:
            begun = time.monotonic()
            assert await made["since"].call({}) < begun

    asyncio.run(main())


def test_a_module_that_can_not_be_imported_is_an_error_of_the_call(tmp_path):
    source = "import sys\nif 'pytest' not in sys.modules: raise OSError('no database')\ndef look(): pass"
    assert "no database" in failed(tmp_path, source, {}).message


def test_a_timeout_of_its_own_is_told_as_its_error(tmp_path):
    assert failed(tmp_path, "async def look(): raise TimeoutError('the database')", {}).message.startswith(
        "TimeoutError"
    )


def test_cancelling_a_call_kills_the_process(tmp_path):
    marker = tmp_path / "pid"
    source = f"def look():\n    pathlib.Path({str(marker)!r}).write_text(f'{{os.getpid()}}\\n')\n    time.sleep(60)"

    async def main():
        async with tools(tmp_path, source) as made:
            call = asyncio.create_task(made["look"].call({}))
            process = await until(lambda: pid_in(marker))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(lambda: not alive(process))

    asyncio.run(main())


def test_a_process_that_dies_is_told_and_the_next_call_gets_another(tmp_path):
    source = "def look(die: bool):\n    if die: os.kill(os.getpid(), signal.SIGKILL)\n    return 'fine'"

    async def main():
        async with tools(tmp_path, source) as made:
            with pytest.raises(AgentCrashed, match="SIGKILL"):
                await made["look"].call({"die": True})
            assert await made["look"].call({"die": False}) == "fine"

    asyncio.run(main())


def test_many_calls_at_once_share_a_few_processes(tmp_path):
    before = children()

    async def main():
        async with tools(tmp_path, "def where(n: int): return [n, os.getpid()]") as made:
            answers = await asyncio.gather(*(made["where"].call({"n": n}) for n in range(30)))
            assert [n for n, _ in answers] == [*range(30)]
            assert len({process for _, process in answers}) <= max(2, os.cpu_count() or 1)
        assert children() <= before

    asyncio.run(main())


@pytest.mark.parametrize("thing", [il.Job, 7, msgspec])
def test_what_is_no_function_is_refused(thing):
    with pytest.raises(TeamError, match="not a function"):
        FunctionTool(Declared("look", use="a:b"), thing, None)
