"""Agents in processes of their own: whatever they do, the call ends in an answer, a refusal or an error."""

import asyncio
import math
import os
import signal
import threading
from types import SimpleNamespace

import pytest

import interlock as il
from interlock.agents import process
from interlock.agents.process import ProcessPool
from interlock.agents.wire import LENGTH_BYTES, NONCE_BYTES, Binding
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.errors import AgentCrashed, AgentError, AgentRefused, RateLimited, ReplyRefused
from tests.text import without_place

from .scenes import PROC, Module, alive, children, job, nothing, pid_in, until


def agent(folder, body):
    """A module with one agent: what it does, as the body of a function of `job`."""
    indented = "\n".join("    " + line for line in body.splitlines())
    return Module(folder, f"def agent(job):\n{indented}\n")


# --- answers ---


def test_it_sees_the_job_and_its_answer_comes_back(tmp_path):
    module = agent(
        tmp_path,
        """seen = [job.view["a.b"], job.view.to_dict(), job.run_id, job.step, job.agent, job.action, job.attempt]
seen += [job.idempotency_key, job.instructions, list(job.feedback), job.item, job.index]
writes = {"out.s0": seen, "old": il.DELETE}
return il.Reply(writes=writes, output={"x": 1}, usage=il.Usage(1, 2, 0.5), confidence=0.25)""",
    )
    given = job(view={"a": {"b": [1, None]}}, instructions="go", feedback=("too long",), item={"n": 1}, index=3)
    reply = module.call(given=given)
    assert reply.writes["out.s0"] == [
        [1, None], {"a": {"b": [1, None]}}, "run", "s0", "ann", "act", 1, "run/s0/1", "go", ["too long"], {"n": 1}, 3,
    ]  # fmt: skip
    assert reply.writes["old"] is il.DELETE
    assert (reply.output, reply.usage, reply.confidence) == ({"x": 1}, il.Usage(1, 2, 0.5), 0.25)


def test_a_plain_dict_is_its_writes(tmp_path):
    assert agent(tmp_path, "return {'out.s0': 1, 'gone': il.DELETE}").call().writes == {"out.s0": 1, "gone": il.DELETE}


def test_a_question_comes_back(tmp_path):
    reply = agent(tmp_path, "return il.Reply(ask=il.Question('ship it?', ['yes', 'no']))").call()
    assert reply.ask == il.Question("ship it?", ("yes", "no"))


def test_a_request_goes_there_and_comes_back(tmp_path):
    given = job(requests=(il.Request("escalate", "bob"),))
    reply = agent(tmp_path, "return il.Reply(writes={'a': 1}, request=job.requests[0])").call(given=given)
    assert (reply.writes, reply.request) == ({"a": 1}, il.Request("escalate", "bob"))


def test_values_come_back_as_they_were(tmp_path):
    reply = agent(tmp_path, "return {'v': [1, 1.0, -0.0, 1e300, 2**63 - 1, True, None, 'ü🙂', {'': {}}]}").call()
    values = reply.writes["v"]
    assert values == [1, 1.0, -0.0, 1e300, 2**63 - 1, True, None, "ü🙂", {"": {}}]
    assert [type(value) for value in values[:2]] == [int, float]
    assert math.copysign(1, values[2]) == -1


def test_an_async_function_may_run_in_a_process_too(tmp_path):
    module = Module(
        tmp_path,
        """
        import asyncio
        async def agent(job):
            await asyncio.sleep(0)
            return {"pid": os.getpid()}
        """,
    )
    assert module.call().writes["pid"] != os.getpid()


def test_a_binding_makes_something_else_of_a_reference(tmp_path):
    module = Module(
        tmp_path,
        """
        factor = 7

        def bound(reference, options, find):
            return lambda job: {"out.s0": [reference, job.view["n"] * find(reference) * options["times"]]}
        """,
    )
    # It is one of Interlock's own modules otherwise; the team's folder is on the import path of this process here.
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        binding = Binding("agents_under_test", {"times": 2})
        reply = module.call("factor", job(view={"n": 3}), binding=binding)
    assert reply.writes == {"out.s0": ["agents_under_test:factor", 42]}


def test_what_it_prints_goes_to_standard_error(tmp_path, capfd):
    module = agent(
        tmp_path,
        """print("printed")
os.system("echo from a child")
os.write(1, b"written\\n")
sys.stdout.write("without an end")
sys.stdout.flush()
return {"out.s0": 1}""",
    )
    assert module.call().writes == {"out.s0": 1}
    out, err = capfd.readouterr()
    assert out == ""
    assert all(text in err for text in ("printed\n", "from a child\n", "written\n", "without an end"))


def test_its_standard_input_is_empty(tmp_path):
    body = "return {'out.s0': [sys.stdin.read(), os.read(0, 10).decode(), os.popen('cat').read()]}"
    assert agent(tmp_path, body).call().writes == {"out.s0": ["", "", ""]}


# --- refusals ---


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("None", "the agent returned nothing"),
        ("'done'", "the agent returned a str"),
        ("object()", "the agent returned a object"),
        ("{'a': float('nan')}", "a: it is nan"),
        ("{'a': [float('inf')]}", "a: [0] is inf"),
        ("{'a': (1, 2)}", "a: it is a tuple"),
        ("{'a': {1, 2}}", "a: it is a set"),
        ("{'a': {1: 2}}", "a: it is an object with a key of the type int"),
        ("{'a': {'deep': il.DELETE}}", "a: deep is a _Delete"),
        ("{'a': 2**64}", "a: it is an integer outside 64 bits"),
        ("{'a': '\\ud800'}", "a: it is text with a lone surrogate"),
        ("{'\\ud800': 1}", "lone surrogate"),
        ("{1: 2}", "a int is not a dotted path"),
        ("{True: il.DELETE}", "a bool is not a dotted path"),
        ("{'a': 'x' * 100_000_000}", "a: it is larger than 1,048,576 bytes of JSON"),
        ("{'a': [0] * 20_000_000}", "a: it is larger than 1,048,576 bytes of JSON"),
        ("{f'a.{n}': 'x' * 1_000_000 for n in range(30)}", "the reply is 30,000,"),
        ("il.Reply(writes=[1])", "writes is a list"),
        ("il.Reply(writes=None)", "writes is a NoneType"),
        ("il.Reply(usage='7 tokens')", "usage is not an interlock.Usage"),
        ("il.Reply(usage={'input_tokens': 7})", "usage is not an interlock.Usage"),
        ("il.Reply(usage=il.Usage(input_tokens='many'))", "usage is not an interlock.Usage"),
        ("il.Reply(usage=il.Usage(usd=float('nan')))", "usage is not an interlock.Usage"),
        ("il.Reply(usage=il.Usage(input_tokens=2**70))", "usage is not an interlock.Usage"),
        ("il.Reply(confidence=float('nan'))", "confidence: it is nan"),
        ("il.Reply(confidence=object())", "confidence: it is a object"),
        ("il.Reply(output=b'bytes')", "output: it is a bytes"),
        ("il.Reply(ask='may I?')", "ask is not an interlock.Question"),
        ("il.Reply(ask=il.Question(5))", "ask is not an interlock.Question"),
        ("il.Reply(ask=il.Question('q', 'yes'))", "ask is not an interlock.Question"),
        ("il.Reply(ask=il.Question('q', (1,)))", "a choice of the question is a int"),
        ("il.Reply(ask=il.Question('\\ud800'))", "lone surrogate"),
        ("il.Reply(request='escalate')", "request is not an interlock.Request"),
        ("il.Reply(request=il.Request('escalate', None))", "request is not an interlock.Request"),
        ("il.Reply(request=il.Request('\\ud800', 'bob'))", "lone surrogate"),
        ("il.Reply(request=il.Request('x' * 30_000_000, 'bob'))", "request: it is larger than"),
    ],
)
def test_what_is_no_reply_is_refused_and_the_worker_stays(pool_of, answer, why):
    module = pool_of(f"return {answer}")
    with pytest.raises(ReplyRefused) as refused:
        module()
    assert why in refused.value.message


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def evaluator(loop, tmp_path_factory):
    """One warm worker whose agent executes the body it is given; it must outlive everything that it is asked."""
    source = """
        def agent(job):
            scope = {"il": il, "os": os, "sys": sys, "time": time}
            exec("def body():\\n " + job.instructions, scope)
            return scope["body"]()
        """
    module = Module(tmp_path_factory.mktemp("agents"), source)
    pool = ProcessPool(str(module.folder))

    def call(body):
        return loop.run(module.adapter(pool).call(job(instructions=body), nothing))

    yield call
    loop.run(pool.close())


@pytest.fixture
def pool_of(evaluator):
    before = evaluator("return {'pid': os.getpid()}").writes

    def asks(body):
        return lambda: evaluator(body)

    yield asks
    assert evaluator("return {'pid': os.getpid()}").writes == before, "the worker did not survive"


def test_a_team_may_allow_larger_values(tmp_path):
    module = agent(tmp_path, "return {'a': 'x' * 3_000_000}")
    assert len(module.call(limits=Limits(value_bytes_max=4 << 20)).writes["a"]) == 3_000_000


# --- errors ---


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        ("raise ValueError('bad')", AgentError, "ValueError: bad"),
        ("raise SystemExit(3)", AgentError, "SystemExit: 3"),
        ("sys.exit()", AgentError, "SystemExit"),
        ("raise KeyboardInterrupt", AgentError, "KeyboardInterrupt"),
        ("raise GeneratorExit", AgentError, "GeneratorExit"),
        ("raise type('Own', (BaseException,), {})", AgentError, "Own"),
        (
            "raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})",
            AgentError,
            "Mute: (its text can't be read)",
        ),
        ("raise ValueError('\\ud800')", AgentError, "ValueError: ?"),
        ("raise ValueError('x' * 10**6)", AgentError, "ValueError: " + "x" * 1_985 + "..."),
        ("from interlock.errors import AgentRefused as R; raise R('closed')", AgentRefused, "closed"),
        ("from interlock.errors import ReplyRefused as R; raise R('a poem')", ReplyRefused, "a poem"),
        ("from interlock.errors import ReplyRefused as R; raise R(5)", ReplyRefused, "5"),
        ("def f(): f()\n f()", AgentError, "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_what_it_raises_comes_back_and_the_worker_stays(pool_of, body, kind, told):
    with pytest.raises(AgentError) as raised:
        pool_of(body)()
    assert (type(raised.value), without_place(raised.value.message)) == (kind, told)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("os._exit(7)", "its process died: exit code 7"),
        ("os.kill(os.getpid(), 9)", "its process died: killed by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "its process died: killed by SIGSEGV"),
    ],
)
def test_an_agent_that_kills_its_process_has_crashed(tmp_path, body, cause):
    with pytest.raises(AgentCrashed) as crashed:
        agent(tmp_path, body).call()
    assert crashed.value.message == cause


@pytest.mark.parametrize("then", ["return {'a': 1}", "time.sleep(3600)"], ids=["replies", "lives-on"])
def test_an_agent_that_closes_every_pipe_has_crashed_and_is_gone(tmp_path, then):
    module = agent(
        tmp_path, f"open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}}\\n')\nos.closerange(0, 100)\n{then}"
    )
    with pytest.raises(AgentCrashed, match="its process died"):
        module.call()
    assert not alive(pid_in(tmp_path / "pid"))


# The worker keeps the pipe of replies; an agent that wants to find it, does.
PIPE = "max(int(f.name) for f in os.scandir('/proc/self/fd') if os.path.exists(f) and 'pipe' in os.readlink(f))"


@pytest.mark.skipif(not PROC.exists(), reason="there is no /proc to find the pipe in")
@pytest.mark.parametrize(
    "garbage",
    [
        "b'\\xff' * 8",
        "b'\\x00' * 8 + NONCE",
        "b'\\x00' * 7 + b'\\x05' + b'n' * 16 + b'hello'",
    ],
    ids=["huge", "empty", "unasked"],
)
def test_an_agent_that_writes_to_the_pipe_of_replies_has_crashed(tmp_path, garbage):
    with pytest.raises(AgentCrashed, match=r"its process (sent|died)"):
        agent(tmp_path, f"NONCE = bytes(16)\nos.write({PIPE}, {garbage})\ntime.sleep(3600)").call()


@pytest.mark.parametrize(
    "garbage", [b"hello", b"", b"[]", b"[" * 10_000], ids=["no-json", "empty", "no-object", "deep"]
)
def test_a_reply_that_is_none_is_a_crash(garbage):
    async def main():
        stdout = asyncio.StreamReader()
        sent = []
        stdin = SimpleNamespace(write=sent.append, drain=lambda: asyncio.sleep(0))
        worker = process.Worker(SimpleNamespace(stdin=stdin, stdout=stdout, _transport=None), DEFAULT_LIMITS)
        asking = asyncio.get_running_loop().create_task(worker.load("m:f"))
        await asyncio.sleep(0)
        nonce = sent[0][LENGTH_BYTES : LENGTH_BYTES + NONCE_BYTES]
        stdout.feed_data(len(garbage).to_bytes(LENGTH_BYTES, "big") + nonce + garbage)
        with pytest.raises(AgentCrashed, match="its process sent something that is no reply"):
            await asking

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_the_child_of_an_agent_that_forks_answers_nobody(tmp_path):
    module = agent(tmp_path, "os.fork()\nreturn {'out.x': job.step}")

    async def main():
        async with module.pool() as pool:
            adapter = module.adapter(pool)
            return [(await adapter.call(job(step=step), nothing)).writes["out.x"] for step in ("one", "two", "three")]

    assert asyncio.run(main()) == ["one", "two", "three"]


# --- timeouts ---


def hanging(folder, first="", then="time.sleep(3600)"):
    return agent(folder, f"open({str(folder / 'pid')!r}, 'w').write(f'{{os.getpid()}}\\n')\n{first}\n{then}")


def test_a_call_that_is_cancelled_leaves_nothing_running(tmp_path):
    child = tmp_path / "child"
    spawn = f"import subprocess; subprocess.Popen(['sh', '-c', 'echo $$ > {child}; sleep 3600'])"
    module = hanging(tmp_path, spawn, "while True: time.sleep(3600)")

    async def main():
        async with module.pool() as pool:
            call = asyncio.get_running_loop().create_task(module.adapter(pool).call(job(), nothing))
            pids = [await until(lambda marker=marker: pid_in(marker)) for marker in (tmp_path / "pid", child)]
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            for pid in pids:
                await until(lambda pid=pid: not alive(pid))

    asyncio.run(main())


def test_a_crash_takes_along_what_the_process_had_started(tmp_path):
    child = tmp_path / "child"
    body = f"import subprocess; subprocess.Popen(['sh', '-c', 'echo $$ > {child}; exec sleep 3600'])"
    module = agent(tmp_path, f"{body}\nwhile not os.path.exists({str(child)!r}): time.sleep(0.01)\nos._exit(7)")
    with pytest.raises(AgentCrashed, match="exit code 7"):
        module.call()
    asyncio.run(until(lambda: not alive(pid_in(child))))


def test_neither_signals_nor_a_busy_loop_save_a_worker(tmp_path):
    deaf = "import signal\nfor s in (2, 15, 1): signal.signal(s, signal.SIG_IGN)"
    module = hanging(tmp_path, deaf, "while True: pass")

    async def main():
        async with module.pool() as pool:
            call = asyncio.get_running_loop().create_task(module.adapter(pool).call(job(), nothing))
            pid = await until(lambda: pid_in(tmp_path / "pid"))
            call.cancel()
            await asyncio.wait([call])
            await until(lambda: not alive(pid))

    asyncio.run(main())


def test_after_a_cancelled_call_the_next_gets_a_fresh_worker(tmp_path):
    module = agent(
        tmp_path,
        f"""if job.attempt == 1:
    open({str(tmp_path / "pid")!r}, "w").write(f"{{os.getpid()}}\\n")
    time.sleep(3600)
return {{"pid": os.getpid()}}""",
    )

    async def main():
        async with module.pool() as pool:
            adapter = module.adapter(pool)
            call = asyncio.get_running_loop().create_task(adapter.call(job(), nothing))
            pid = await until(lambda: pid_in(tmp_path / "pid"))
            call.cancel()
            await asyncio.wait([call])
            return pid, (await adapter.call(job(attempt=2), nothing)).writes["pid"]

    killed, fresh = asyncio.run(main())
    assert killed != fresh


def test_closing_the_pool_kills_calls_under_way(tmp_path):
    module = hanging(tmp_path)

    async def main():
        async with module.pool() as pool:
            call = asyncio.get_running_loop().create_task(module.adapter(pool).call(job(), nothing))
            pid = await until(lambda: pid_in(tmp_path / "pid"))
        with pytest.raises(AgentCrashed, match="SIGKILL"):
            await call
        return pid

    assert not alive(asyncio.run(main()))


# --- warm workers ---


def test_workers_are_kept_warm_and_reused(tmp_path):
    module = Module(
        tmp_path,
        """
        seen = []
        def agent(job):
            seen.append(1)
            return {"pid": os.getpid(), "calls": len(seen)}
        def other(job):
            return {"pid": os.getpid(), "calls": len(seen)}
        """,
    )

    async def main():
        async with module.pool() as pool:
            names = ("agent", "agent", "other")
            return [(await module.adapter(pool, name).call(job(), nothing)).writes for name in names]

    first, second, third = asyncio.run(main())
    assert first["pid"] == second["pid"] == third["pid"]
    assert [call["calls"] for call in (first, second, third)] == [1, 2, 2]


def test_calls_at_once_have_a_worker_each_and_no_more_are_kept_than_wanted(tmp_path):
    gate = tmp_path / "gate"
    module = agent(
        tmp_path,
        f"""open(os.path.join({str(tmp_path)!r}, f"pid-{{os.getpid()}}"), "w").close()
while not os.path.exists({str(gate)!r}): time.sleep(0.01)
return {{"pid": os.getpid()}}""",
    )

    async def main():
        async with module.pool(idle_max=1) as pool:
            calls = [
                asyncio.get_running_loop().create_task(module.adapter(pool).call(job(), nothing)) for _ in range(3)
            ]
            await until(lambda: len(list(tmp_path.glob("pid-*"))) == 3)
            gate.touch()
            pids = [(await call).writes["pid"] for call in calls]
            await until(lambda: sum(map(alive, pids)) == 1)
        return pids

    pids = asyncio.run(main())
    assert len(set(pids)) == 3
    assert not any(map(alive, pids))


def test_a_worker_that_died_while_idle_is_not_used(tmp_path):
    module = agent(
        tmp_path,
        """import threading
threading.Timer(0.01, os._exit, [5]).start()
return {"pid": os.getpid()}""",
    )

    async def main():
        async with module.pool() as pool:
            adapter = module.adapter(pool)
            first = (await adapter.call(job(), nothing)).writes["pid"]
            [worker] = pool._workers
            await worker.process.wait()
            second = (await adapter.call(job(), nothing)).writes["pid"]
            assert len(pool._workers) == 1
        return first, second

    first, second = asyncio.run(main())
    assert first != second


def test_nothing_is_left_after_close(tmp_path):
    """Not even of agents that leave threads, children, or a daemon behind that holds their pipes."""
    module = agent(
        tmp_path,
        f"""import subprocess, threading
threading.Thread(target=time.sleep, args=(3600,)).start()
subprocess.Popen(["sleep", "3600"])
if os.fork() == 0:
    os.setsid()
    open({str(tmp_path / "daemon")!r}, "w").write(f"{{os.getpid()}}\\n")
    time.sleep(60)
    os._exit(0)
while not os.path.exists({str(tmp_path / "daemon")!r}): time.sleep(0.01)
return {{"pid": os.getpid()}}""",
    )
    before, threads = children(), threading.active_count()
    pid = module.call().writes["pid"]
    daemon = asyncio.run(until(lambda: pid_in(tmp_path / "daemon")))
    os.kill(daemon, signal.SIGKILL)
    assert not alive(pid)
    assert children() <= before
    asyncio.run(until(lambda: threading.active_count() <= threads))


# --- loading ---


def test_time_to_import_is_not_counted_as_the_agent_s(tmp_path):
    module = Module(
        tmp_path, f"import pathlib\npathlib.Path({str(tmp_path / 'imported')!r}).touch()\ndef agent(job): return {{}}"
    )
    began = []

    async def main():
        async with module.pool() as pool:
            await module.adapter(pool).call(job(), lambda: began.append((tmp_path / "imported").exists()))

    asyncio.run(main())
    assert began == [True]


def test_a_classified_failure_keeps_its_class_on_the_way(tmp_path):
    source = "raise RateLimited('slow down', retry_after=7, usage=il.Usage(1, 2))"
    with pytest.raises(RateLimited, match="slow down") as raised:
        agent(tmp_path, f"from interlock.errors import RateLimited; {source}").call()
    assert (raised.value.retry_after, raised.value.usage) == (7, il.Usage(1, 2))


@pytest.mark.parametrize(
    ("retryable", "kind"),
    [(False, AgentRefused), (True, AgentError)],
)
def test_an_agents_own_class_arrives_as_the_nearest_of_ours(tmp_path, retryable, kind):
    above = "AgentError" if not retryable else "ContextTooLong"
    source = f"from interlock.errors import {above} as B; raise type('Own', (B,), {{'retryable': {retryable}}})('no')"
    with pytest.raises(AgentError, match="no") as raised:
        agent(tmp_path, source).call()
    assert type(raised.value) is kind


def test_what_was_no_reply_is_kept_on_the_way(tmp_path):
    source = "from interlock.errors import ReplyRefused as R; raise R('no JSON', said='Sure!', usage=il.Usage(1, 2))"
    with pytest.raises(ReplyRefused, match="no JSON") as raised:
        agent(tmp_path, source).call()
    assert (raised.value.said, raised.value.usage) == ("Sure!", il.Usage(1, 2))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import no_such_module", "importing agents_under_test failed in agents_under_test.py:3: ModuleNotFoundError"),
        ("def agent(job:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("sys.exit(3)", "SystemExit: 3"),
        ("def other(job): pass", "has no function agent"),
        ("agent = 5", "is a int, not a function"),
        ("raise ValueError('\\ud800')", "ValueError"),
    ],
)
def test_an_agent_that_cannot_be_loaded_is_not_tried_again(tmp_path, source, told):
    before = children()
    with pytest.raises(AgentRefused) as refused:
        Module(tmp_path, source).call()
    assert told in refused.value.message
    assert not refused.value.retryable
    assert children() <= before


def test_a_module_that_is_not_there(tmp_path):
    async def main():
        async with Module(tmp_path, "").pool() as pool:
            await process.ProcessAdapter(pool, "no_such_agents:agent").call(job(), nothing)

    with pytest.raises(AgentRefused, match="there is no module no_such_agents"):
        asyncio.run(main())


def test_a_process_that_dies_during_the_import_has_crashed(tmp_path):
    with pytest.raises(AgentCrashed, match="exit code 4"):
        Module(tmp_path, "os._exit(4)").call()


def test_an_import_that_hangs_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "LOAD_SECONDS_MAX", 1.0)
    before = children()
    with pytest.raises(AgentRefused, match="could not be imported within 1 s"):
        Module(tmp_path, "time.sleep(3600)\ndef agent(job): return {}").call()
    assert children() <= before


def test_an_import_may_print(tmp_path, capfd):
    assert Module(tmp_path, "print('hello')\ndef agent(job): return {'a': 1}").call().writes == {"a": 1}
    out, err = capfd.readouterr()
    assert (out, "hello" in err) == ("", True)


def test_it_imports_from_where_the_engine_does(tmp_path, monkeypatch):
    (tmp_path / "beside_the_script.py").write_text("def agent(job): return {'from': __file__}")
    monkeypatch.syspath_prepend(tmp_path)

    async def main():
        pool = ProcessPool()
        try:
            return await process.ProcessAdapter(pool, "beside_the_script:agent").call(job(), nothing)
        finally:
            await pool.close()

    assert asyncio.run(main()).writes == {"from": str(tmp_path / "beside_the_script.py")}


def test_the_working_folder_is_not_on_the_import_path(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "team"
    folder.mkdir()
    assert Module(folder, "import json\ndef agent(job): return {'a': json.loads('1')}").call().writes == {"a": 1}


def test_a_call_that_is_cancelled_while_its_worker_starts_leaves_nothing(tmp_path):
    module = agent(tmp_path, "return {}")
    before = children()

    async def main():
        async with module.pool() as pool:
            for rounds in range(0, 40, 4):
                call = asyncio.get_running_loop().create_task(module.adapter(pool).call(job(), nothing))
                for _ in range(rounds):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.wait([call])

    asyncio.run(main())
    assert children() <= before


def test_a_worker_that_can_not_start_has_crashed(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 9\n")
    python.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(python))
    with pytest.raises(AgentCrashed, match="exit code 9"):
        agent(tmp_path, "return {}").call()


def test_a_large_job_gets_through(tmp_path):
    view = {f"k{n}": "x" * 1_000_000 for n in range(8)}
    assert agent(tmp_path, "return {'a': len(job.view)}").call(given=job(view=view)).writes == {"a": 8}


def test_slots_are_as_many_as_workers_are_kept():
    assert process.ProcessAdapter(ProcessPool(idle_max=3), "a:b").slots == 3
