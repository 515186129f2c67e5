"""One event loop for a worker's life: what agents keep goes on working, and nothing else of a call goes on."""

import asyncio
import time
from contextvars import ContextVar

import pytest

from interlock.agents.worker_loop import WorkerLoop

from .scenes import Module, job, nothing

VARIABLE = ContextVar("variable", default="unset")


@pytest.fixture
def loop():
    made = WorkerLoop()
    yield made
    made._runner.close()


def test_a_connection_is_kept_between_calls(tmp_path):
    module = Module(
        tmp_path,
        """
        import asyncio
        kept = []
        async def agent(job):
            if not kept:
                kept.append(await asyncio.open_connection("127.0.0.1", job.view["port"]))
            reader, writer = kept[0]
            writer.write(b"ping\\n")
            return {"said": (await reader.readline()).decode()}
        """,
    )

    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        given = job(view={"port": server.sockets[0].getsockname()[1]})
        async with server, module.pool() as pool:
            return [(await module.adapter(pool).call(given, nothing)).writes for _ in range(3)]

    assert asyncio.run(main()) == 3 * [{"said": "ping\n"}]


def test_what_a_call_has_started_ends_with_it(loop):
    ended = []

    async def forever(name):
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(name)
            if name == "first":
                kept.append(asyncio.create_task(forever("left by the first")))
                await asyncio.sleep(0)

    async def numbers():
        try:
            yield 1
        finally:
            ended.append("generator")

    async def agent():
        kept.append(asyncio.create_task(forever("first")))
        kept.append(asyncio.get_running_loop().run_in_executor(None, lambda: [time.sleep(0.1), ended.append("thread")]))
        async for _ in numbers():
            break
        return "done"

    kept = []
    assert loop.result(agent()) == "done"
    assert sorted(ended) == ["first", "generator", "left by the first", "thread"]


def test_no_call_sees_the_context_of_another(loop):
    async def agent():
        before = VARIABLE.get()
        VARIABLE.set("set")
        return before

    assert [loop.result(agent()), loop.result(agent())] == ["unset", "unset"]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_it_goes_on_after_whatever_a_call_raises(loop, error):
    async def fail():
        raise error

    async def agent():
        return await asyncio.to_thread(lambda: "fine")

    with pytest.raises(error):
        loop.result(fail())
    assert loop.result(agent()) == "fine"


def test_an_agent_that_stops_or_closes_it_harms_no_other(loop):
    async def stop():
        asyncio.get_running_loop().stop()
        await asyncio.sleep(3600)

    async def where():
        return asyncio.get_running_loop()

    with pytest.raises(RuntimeError, match="stopped"):
        loop.result(stop())
    same = loop.result(where())
    assert loop.result(where()) is same
    same.close()
    assert loop.result(where()) is not same


def test_an_agent_that_is_not_async_may_have_a_loop_of_its_own(loop):
    async def agent():
        return "fine"

    assert loop.result(agent()) == "fine"
    assert asyncio.run(agent()) == "fine"
    assert loop.result(agent()) == "fine"
