"""Tools of MCP servers, against real ones: over standard input and output, and over HTTP on this machine."""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from interlock.agents.process import ProcessPool
from interlock.agents.tools import Toolbox, Workshop, connection, over_stdio, session
from interlock.agents.tools.mcp import McpTool
from interlock.agents.tools.tool import Declared
from interlock.core.values import DEFAULT_LIMITS, Limits
from interlock.errors import (
    AccessDenied,
    AgentError,
    AgentRefused,
    BadRequest,
    NotPerformed,
    Overloaded,
    RateLimited,
    Unreachable,
)
from tests.agents.scenes import PROC, alive, children, job, until

HERE = Path(__file__).parent
KEY = "sk-planted-5f1d0c7e9b3a4286"


class Scene:
    """A team's workshop with one server, and tools of it."""

    def __init__(self, keys, limits=DEFAULT_LIMITS):
        self.workshop = Workshop(ProcessPool(), {"crm": keys}, limits=limits)

    async def tool(self, name, **keys):
        source = McpTool(Declared(name, mcp="crm", **keys), self.workshop.servers["crm"], self.workshop.limits)
        return (await Toolbox([source]).open(job()))[0]

    async def call(self, name, arguments=None, **keys):
        return await (await self.tool(name, **keys)).call(arguments or {})


def play(story, keys, **options):
    """A story of a scene, after which nothing is left, though nobody has collected garbage."""

    async def main():
        scene = Scene(keys, **options)
        before = files()
        try:
            await story(scene)
        finally:
            await scene.workshop.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("mcp-")]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await until(lambda: files() <= before)

    started = children()
    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()
    assert children() <= started


def files():
    return len([*(PROC / "fd").iterdir()]) if PROC.exists() else 0


def stdio(log, **env):
    return {"command": [sys.executable, str(HERE / "crm.py")], "env": {"LOG": str(log), **env}}


@pytest.fixture
def raw(tmp_path):
    """A server that says what it is told to, by method."""

    def keys(**said):
        (tmp_path / "said").write_text(json.dumps({name.replace("_", "/"): what for name, what in said.items()}))
        return {"command": [sys.executable, str(HERE / "raw.py"), str(tmp_path / "said")]}

    return keys


def lines(log):
    return log.read_text().splitlines() if log.exists() else []


def pids(log):
    return [int(line.split()[1]) for line in lines(log) if line.startswith("pid ")]


@asynccontextmanager
async def served(log, port=None):
    """The server over HTTP, as a process; gives its keys in the team file."""
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, HERE / "crm.py", str(port), env={**os.environ, "LOG": str(log)}, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await until(lambda: listens(port), 30)
        yield {"url": f"http://127.0.0.1:{port}/mcp"}
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture(params=["stdio", "http", "http, as it was"])
def over(request, log, monkeypatch):
    """Plays a story over each transport, and over the older form of HTTP, which has sessions."""

    def play_over(story, **options):
        if request.param == "stdio":
            play(story, stdio(log), **options)
            return

        async def keys_of():
            async with served(log) as keys:
                await asyncio.to_thread(play, story, keys, **options)

        asyncio.run(keys_of())

    if request.param == "http, as it was":
        monkeypatch.setattr(session, "MODE", "legacy")
    return play_over


# --- calls ---


@pytest.mark.slow
def test_a_tool_is_offered_as_its_server_lists_it(log):
    async def story(scene):
        tool = await scene.tool("find", tool="lookup", effect=True, timeout=3.0)
        assert (tool.name, tool.description, tool.timeout, tool.effect) == ("find", "Look up a customer.", 3.0, True)
        assert tool.parameters["properties"]["customer"]["type"] == "string"
        assert (await scene.tool("lookup", description="another")).description == "another"

    play(story, stdio(log))


@pytest.mark.slow
def test_structured_content_comes_before_text(over):
    async def story(scene):
        assert await scene.call("lookup", {"customer": "c1"}) == {"id": "c1", "plan": "pro"}
        assert await scene.call("plain", {"said": "hello"}) == "hello"

    over(story)


@pytest.mark.slow
def test_an_error_of_the_tool_is_told_without_secrets(log, monkeypatch):
    monkeypatch.setenv("CRM_TOKEN", "a-secret-of-crm")

    async def story(scene):
        with pytest.raises(AgentError, match=r"no such customer; asked with \[CRM_TOKEN\]$") as caught:
            await scene.call("fail")
        assert type(caught.value) is NotPerformed
        with pytest.raises(AgentError, match="customer"):
            await scene.call("lookup", {})
        assert await scene.call("environment", {"name": "CRM_TOKEN"}) == {"result": "a-secret-of-crm"}
        assert await scene.call("environment", {"name": "RAW_TOKEN"}) == {"result": "nothing"}

    monkeypatch.setenv("RAW_TOKEN", "is given to none")
    play(story, stdio(log, CRM_TOKEN="${CRM_TOKEN}"))


@pytest.mark.slow
def test_a_secret_that_is_missing_is_named(log):
    async def story(scene):
        with pytest.raises(AccessDenied, match="the MCP server crm: there is no NOT_THERE"):
            await scene.call("lookup", {"customer": "c1"})

    play(story, stdio(log, CRM_TOKEN="${NOT_THERE}"))


@pytest.mark.slow
def test_a_tool_that_its_server_does_not_have_is_refused_with_what_there_is(log):
    async def story(scene):
        with pytest.raises(
            AgentRefused, match=r"crm has no tool lookupp; did you mean lookup\?; its tools: lookup, pid"
        ):
            await scene.tool("lookupp")

    play(story, stdio(log))


@pytest.mark.slow
def test_fifty_calls_at_once_share_one_connection(over, log):
    async def story(scene):
        answers = await asyncio.gather(*(scene.call("lookup", {"customer": f"c{n}"}) for n in range(50)))
        assert [answer["id"] for answer in answers] == [f"c{n}" for n in range(50)]
        assert len(pids(log)) == 1

    over(story)


# --- timeouts and cancellation ---


@pytest.mark.slow
def test_a_timeout_stops_the_call_at_the_server(over, log):
    async def story(scene):
        with pytest.raises(AgentError, match=r"slow took longer than 0.5 s and was stopped"):
            await scene.call("slow", timeout=0.5)
        await until(lambda: "slow cancelled" in lines(log))
        assert (await scene.call("lookup", {"customer": "c1"}))["id"] == "c1"
        assert len(pids(log)) == 1

    over(story)


@pytest.mark.slow
def test_a_cancelled_call_is_cancelled_at_the_server(over, log):
    async def story(scene):
        tool = await scene.tool("slow", timeout=60.0)
        call = asyncio.create_task(tool.call({}))
        await until(lambda: "slow began" in lines(log))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: "slow cancelled" in lines(log))

    over(story)


@pytest.mark.slow
def test_closing_ends_calls_in_flight(log):
    async def story(scene):
        call = asyncio.create_task((await scene.tool("slow", timeout=60.0)).call({}))
        await until(lambda: "slow began" in lines(log))
        await scene.workshop.close()
        with pytest.raises(Unreachable, match="the MCP server crm: the connection was closed"):
            await call
        assert (await scene.call("lookup", {"customer": "again"}))["id"] == "again"

    play(story, stdio(log))


# --- servers that die ---


@pytest.mark.slow
def test_a_server_killed_between_calls_is_started_again(log):
    async def story(scene):
        tool = await scene.tool("lookup")
        await tool.call({"customer": "c1"})
        os.kill(pids(log)[0], signal.SIGKILL)
        await until(lambda: not scene.workshop.servers["crm"].is_connected)
        assert (await tool.call({"customer": "c2"}))["id"] == "c2"
        assert len(pids(log)) == 2

    play(story, stdio(log))


@pytest.mark.slow
def test_a_server_killed_during_a_call_fails_it_and_the_next_call_works(log):
    async def story(scene):
        calls = asyncio.gather(*(scene.call("slow") for _ in range(3)), return_exceptions=True)
        await until(lambda: lines(log).count("slow began") == 3)
        with pytest.raises(Unreachable, match="the MCP server crm: its process ended: killed by SIGKILL"):
            await scene.call("die")
        assert [type(failed) for failed in await calls] == [Unreachable] * 3
        assert (await scene.call("lookup", {"customer": "c2"}))["id"] == "c2"

    play(story, stdio(log))


ENGINE = """
import asyncio, sys
from interlock.agents.tools.over_stdio import stdio
async def main():
    async with stdio(sys.argv[1:], {}, ""):
        await asyncio.sleep(60)
asyncio.run(main())
"""
# Heeds neither the end of its input nor SIGTERM, and has started another that doesn't.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
with open(sys.argv[1], "a") as file:
    file.write(f"pid {os.getpid()}\\n")
time.sleep(60)
"""


@pytest.mark.slow
def test_a_server_ends_with_an_engine_that_is_killed(log):
    with Popen([sys.executable, "-c", ENGINE, sys.executable, "-c", STUBBORN, str(log)]) as engine:
        asyncio.run(until(lambda: len(pids(log)) == 2))
        time.sleep(0.5)  # nothing tells when it is guarded
        assert all(map(alive, pids(log)))
        engine.kill()
    asyncio.run(until(lambda: not any(map(alive, pids(log)))))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_server_over_http_may_die_and_come_back(mode, log, monkeypatch):
    monkeypatch.setattr(session, "MODE", mode)

    async def main():
        async with served(log) as keys:
            scene = Scene(keys)
            tool = await scene.tool("lookup")
            assert (await tool.call({"customer": "c1"}))["id"] == "c1"
            call = asyncio.create_task(scene.call("slow"))
            await until(lambda: "slow began" in lines(log))
            os.kill(pids(log)[0], signal.SIGKILL)
            with pytest.raises(Unreachable):
                await call
        with pytest.raises(Unreachable):
            await tool.call({"customer": "c2"})
        async with served(log, port=int(keys["url"].split(":")[2].split("/")[0])):
            assert (await tool.call({"customer": "c3"}))["id"] == "c3"
            await scene.workshop.close()

    asyncio.run(main())


@pytest.mark.slow
def test_a_server_over_http_that_was_restarted_is_greeted_again(log, monkeypatch):
    monkeypatch.setattr(session, "MODE", "legacy")  # the newer form has no sessions that could be lost

    async def main():
        async with served(log) as keys:
            scene = Scene(keys)
            tool = await scene.tool("lookup")
        async with served(log, port=int(keys["url"].split(":")[2].split("/")[0])):
            assert (await tool.call({"customer": "c3"}))["id"] == "c3"
            await scene.workshop.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("keys", "failure", "why"),
    [
        ({"command": ["./no-such-program"]}, AgentRefused, r"./no-such-program can't be started: No such file"),
        ({"command": [sys.executable, "-c", "exit('no licence')"]}, Unreachable, r"exit code 1; .* words: no licence"),
        ({"url": "http://127.0.0.1:9/mcp"}, Unreachable, r"ConnectError"),
        ({"initialize": "exit"}, Unreachable, r"exit code 1; its last words: it can't go on"),
        ({"initialize": "endless line"}, Unreachable, r"it sent a message of more than 100,000 bytes"),
        ({"initialize": "close"}, Unreachable, r"it closed its output"),
        ({"initialize": "endless pings"}, Unreachable, r"more than 100 requests of its own open, and doesn't read the"),
        ({"initialize": "nothing"}, Unreachable, r"it was not ready within 2 s"),
        ({"initialize": {"error": {"code": -32603, "message": "busy"}}}, AgentError, "busy"),
        ({"initialize": {"result": []}}, AgentError, "crm: "),
    ],
)  # fmt: skip
def test_a_server_that_can_not_be_connected_to_fails_the_opening(keys, failure, why, raw, monkeypatch):
    says_nothing = keys.get("initialize") in ("nothing", {"result": []})
    monkeypatch.setattr(connection, "OPEN_SECONDS_MAX", 2.0 if says_nothing else 40.0)
    monkeypatch.setattr(over_stdio, "MESSAGE_BYTES_MAX", 100_000)

    async def story(scene):
        with pytest.raises(failure, match=why) as caught:
            await scene.tool("do")
        assert caught.value.message.startswith("the MCP server crm: ")

    play(story, raw(**keys) if "initialize" in keys else keys)


@pytest.mark.parametrize("turns", [0, 1])
def test_closing_does_not_wait_for_a_server_that_never_gets_ready(turns, raw):
    async def story(scene):
        opening = asyncio.ensure_future(scene.tool("do"))
        await asyncio.sleep(0)
        if turns:
            await until(lambda: children() - started)
        scene.workshop.servers["crm"].end()
        with pytest.raises(Unreachable, match="the MCP server crm: the connection was closed"):
            await opening

    started = children()
    play(story, raw(initialize="nothing"))


def test_a_server_that_never_gets_ready_may_be_ended_while_it_is_given_up(monkeypatch, caplog):
    monkeypatch.setattr(connection, "OPEN_SECONDS_MAX", 0.3)

    async def story(scene):
        opening = asyncio.ensure_future(scene.tool("do"))
        await asyncio.sleep(0.6)
        scene.workshop.servers["crm"].end()
        with pytest.raises(Unreachable, match="the MCP server crm: "):
            await opening

    play(story, {"command": ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]})
    assert caplog.messages == []


# --- what HTTP says ---


HELLO = {
    "server/discover": {"error": {"code": -32601, "message": "unknown"}},
    "initialize": {
        "result": {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "web", "version": "1"},
        }
    },
    "tools/list": {"result": {"tools": [{"name": "do", "inputSchema": {"type": "object"}}]}},
}
JSON = "Content-Type: application/json\r\n"


def play_http(story, method="", status="200 OK", answered=JSON, body=b"{}", **keys):
    """A story with a server over HTTP that answers one method in its own way. Gives what was asked: (method, head)."""
    requests = []

    async def serve(reader, writer):
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                size = next((int(line.split(":")[1]) for line in head.splitlines() if "content-length" in line), 0)
                asked = json.loads(await reader.readexactly(size) or b"{}")
                requests.append((asked.get("method"), head))
                if asked.get("method") == method:
                    answer = (status, answered, body)
                elif "id" in asked:
                    said = {"jsonrpc": "2.0", "id": asked["id"], **HELLO[asked["method"]]}
                    answer = ("200 OK", JSON, json.dumps(said).encode())
                else:
                    answer = ("202 Accepted", "", b"")
                writer.write(f"HTTP/1.1 {answer[0]}\r\n{answer[1]}Content-Length: {len(answer[2])}\r\n\r\n".encode())
                writer.write(answer[2])
        writer.close()

    async def main():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
            await asyncio.to_thread(play, story, {"url": url, **keys})

    asyncio.run(main())
    return requests


def test_headers_are_filled_with_secrets(monkeypatch):
    monkeypatch.setenv("WEB_TOKEN", "a-secret-of-the-web")

    async def story(scene):
        await scene.tool("do")

    requests = play_http(story, headers={"Authorization": "Bearer ${WEB_TOKEN}"})
    assert requests
    assert all("authorization: bearer a-secret-of-the-web" in head for _, head in requests)


def test_no_cookie_comes_back():
    async def story(scene):
        await scene.tool("do")

    requests = play_http(story, "notifications/initialized", "202 Accepted", "Set-Cookie: id=7; Path=/\r\n", b"")
    assert "tools/list" in [method for method, _ in requests]
    assert not [head for _, head in requests if "cookie:" in head]


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after"),
    [
        ("401 Unauthorized", "", AccessDenied, None),
        ("429 Too Many Requests", "Retry-After: 7\r\n", RateLimited, 7.0),
        ("503 Service Unavailable", "", Overloaded, None),
        ("400 Bad Request", "", BadRequest, None),
    ],
)
@pytest.mark.parametrize("method", ["initialize", "tools/list", "tools/call"])
def test_a_status_of_http_says_how_a_call_failed(method, status, headers, kind, retry_after):
    async def story(scene):
        with pytest.raises(AgentError, match=f"the MCP server crm: HTTP {status[:3]}") as caught:
            await scene.call("do")
        assert (type(caught.value), caught.value.retry_after) == (kind, retry_after)

    play_http(story, method, status, headers)


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        (JSON, b"x" * 9_000_000, "larger than 8,388,608 bytes"),
        (JSON, b"not JSON", "Failed to parse JSON"),
        ("Content-Type: text/html\r\n", b"<html>", "Unexpected content type"),
        (JSON + "Content-Encoding: gzip\r\n", b"x", "it compresses what it sends"),
        ("Content-Type: text/event-stream\r\n", b"data: " + b"x" * 9_000_000 + b"\n\n", "SSE stream failed"),
        ("Content-Type: text/event-stream\r\n", b"data: {}\n\n", "Failed to parse SSE message"),
        ("Content-Type: text/event-stream\r\n", b": wait\n\n", "SSE stream ended without a response"),
    ],
)
def test_a_hostile_answer_over_http_is_an_error_and_logged_nowhere_else(headers, body, why, caplog):
    async def story(scene):
        with pytest.raises(AgentError, match=why) as caught:
            await scene.call("do", timeout=30.0)
        assert len(caught.value.message) < 5_000

    play_http(story, "tools/call", "200 OK", headers, body)
    assert caplog.records == []


def test_what_the_client_logs_is_heard_by_who_asks_for_it(caplog):
    logging.getLogger("client").warning("of somebody else")
    assert caplog.messages == ["of somebody else"]

    async def story(scene):
        with pytest.raises(AgentError):
            await scene.call("do")

    with caplog.at_level(logging.DEBUG, "mcp"):
        play_http(story, "tools/call", body=b"not JSON")
    assert "Error parsing JSON response" in caplog.messages


def test_a_call_that_a_server_has_forgotten_how_to_take_is_tried_on_a_new_connection_once():
    async def story(scene):
        with pytest.raises(Unreachable, match="the MCP server crm takes no calls: Not Found"):
            await scene.call("do")

    methods = [method for method, _ in play_http(story, "tools/call", "404 Not Found", "")]
    assert (methods.count("initialize"), methods.count("tools/call")) == (2, 2)


# --- what a server says is hostile ---


LARGE = {"type": "object", "title": "x" * 70_000}


def page(*names, **more):
    return {"result": {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in names], **more}}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (page(*map(str, range(2_001))), "it lists more than 2,000 tools"),
        (page("do", nextCursor="more"), "it lists its tools on more than 100 pages"),
        (page(*(f"{n:_>1000}" for n in range(300))), r"crm has no tool do; its tools: _+\.\.\.\n.*and 280 more"),
        (page(), "crm has no tool do; its tools: none"),
        (
            {"result": {"tools": [{"name": "do", "inputSchema": LARGE}]}},
            "70,0.. bytes of JSON, more than",
        ),
        ({"result": {"tools": "none"}}, "the MCP server crm: "),
        ({"result": {"tools": [{"name": "do", "inputSchema": []}]}}, "the MCP server crm: "),
        ({"error": {"code": 1, "message": "not today"}}, "not today"),
    ],
)
def test_a_hostile_list_of_tools_is_refused(said, why, raw):
    async def story(scene):
        with pytest.raises(AgentError, match=f"(?s){why}") as caught:
            await scene.tool("do")
        assert len(caught.value.message) < 5_000

    play(story, raw(tools_list=said))


def test_a_long_description_is_cut(raw):
    async def story(scene):
        assert len((await scene.tool("do")).description) == 4_000

    listed = {"tools": [{"name": "do", "inputSchema": {"type": "object"}, "description": "d" * 100_000}]}
    play(story, raw(tools_list={"result": listed}))


def test_the_name_of_another_tool_is_told_without_secrets(raw, monkeypatch):
    monkeypatch.setenv("CRM_KEY", KEY)

    async def story(scene):
        with pytest.raises(AgentError) as caught:
            await scene.tool("do")
        assert KEY[:8] not in str(caught.value)

    listed = {"tools": [{"name": "x" * (81 - len(KEY)) + KEY, "inputSchema": {"type": "object"}}]}
    play(story, raw(tools_list={"result": listed}))


def said(*blocks, **more):
    return {"result": {"content": list(blocks), **more}}


DEEP = json.loads("[" * 40 + "]" * 40)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said(structuredContent={"deep": DEEP}), "nested deeper than 32"),
        (said(structuredContent={"long": "x" * 20_000}), "larger than 10,000 bytes"),
        (said({"type": "text", "text": "x" * 50_000}, isError=True), "the first 2,000 of 50,000 characters"),
        (said(isError=True), "do failed and did not say why"),
        (said(content="none"), "something that is no result of a tool"),
        (said({"type": "poison"}), "something that is no result of a tool"),
        ({"error": {"code": -32602, "message": "no such arguments"}}, "no such arguments"),
    ],
)
def test_a_hostile_answer_is_an_error_and_the_connection_lasts(answer, why, raw):
    async def story(scene):
        tool = await scene.tool("do", timeout=5.0)
        for _ in range(2):
            with pytest.raises(AgentError, match=why) as caught:
                await tool.call({})
            assert len(caught.value.message) < 5_000
        assert scene.workshop.servers["crm"].is_connected

    play(story, raw(tools_call=answer), limits=Limits(value_bytes_max=10_000))


def test_an_error_that_is_cut_holds_no_piece_of_a_secret(raw, monkeypatch):
    monkeypatch.setenv("CRM_KEY", KEY)

    async def story(scene):
        tool = await scene.tool("do", timeout=5.0)
        with pytest.raises(AgentError, match="the first 2,000 of") as caught:
            await tool.call({})
        assert KEY[:8] not in caught.value.message

    play(story, raw(tools_call=said({"type": "text", "text": "x" * (2_001 - len(KEY)) + KEY}, isError=True)))


@pytest.mark.parametrize("answer", ["nothing", {"result": "none"}, {"id": 7, "result": {}}, {"jsonrpc": "1.0"}])
def test_an_unanswered_call_ends_at_its_timeout(answer, raw):
    async def story(scene):
        with pytest.raises(AgentError, match=r"do took longer than 0\.3 s"):
            await scene.call("do", timeout=0.3)

    play(story, raw(tools_call=answer))


@pytest.mark.slow
def test_a_long_text_is_cut(over):
    async def story(scene):
        text = await scene.call("text", {"characters": 1_500_000})
        assert set(text["result"]) == {"x"}

    over(story, limits=Limits(value_bytes_max=2_000_000))


def test_text_alone_is_cut_in_unicode(raw):
    async def story(scene):
        text = await scene.call("do")
        assert text.startswith("x" * 99_996 + "ü...\n[the first 100,000 of 200,0")
        assert text.encode()

    blocks = [{"type": "text", "text": "x" * 99_996 + "ü" * 100_003}, {"type": "image", "data": "", "mimeType": "a/b"}]
    play(story, raw(tools_call=said(*blocks)))


def test_an_endless_answer_ends_the_connection(raw):
    async def story(scene):
        with pytest.raises(Unreachable, match="it sent a message of more than 8,388,608 bytes"):
            await scene.call("do")
        assert not scene.workshop.servers["crm"].is_connected

    play(story, raw(tools_call="endless line"))


def test_a_server_that_reads_nothing_any_more_ends_the_connection(raw, monkeypatch):
    monkeypatch.setattr(over_stdio, "UNREAD_SECONDS_MAX", 0.5)

    async def story(scene):
        tool = await scene.tool("do", timeout=0.3)
        with pytest.raises(AgentError, match="took longer"):
            await tool.call({})
        with pytest.raises(Unreachable, match=r"crm: it didn't read what it was sent for 0\.5 s"):
            await scene.call("do", {"long": "x" * 500_000}, timeout=20.0)

    play(story, raw(tools_call="sleep"))


def test_a_server_may_ask_many_things(raw):
    async def story(scene):
        for _ in range(5):
            with pytest.raises(AgentError, match=r"took longer"):
                await scene.call("do", timeout=0.3)
        assert scene.workshop.servers["crm"].is_connected

    play(story, raw(tools_call="many pings"))


@pytest.mark.slow
def test_arguments_that_are_no_json_do_not_reach_the_server(log):
    async def story(scene):
        with pytest.raises(AgentError, match="these are no arguments for it"):
            await scene.call("lookup", {"customer": {1, 2}})
        assert "lookup" not in str(lines(log))

    play(story, stdio(log))
