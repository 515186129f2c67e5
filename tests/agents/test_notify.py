"""What tells people: real services behind apprise on this machine, and functions; what they may do to us is bounded."""

import asyncio
import base64
import json
import socket
import subprocess
import sys
import threading
import time

import pytest

import interlock as il
from interlock.agents import extras, notify
from interlock.agents.notify import recipient, recipients
from interlock.engine.messages import trial
from interlock.errors import AccessDenied, MissingExtra, NotDelivered, TeamError
from interlock.ports import Message

from .endpoints import endpoint
from .mailbox import mailbox

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
MESSAGE = Message("desk", "desk: refund waits", "Step <b>refund</b> & *more*\nTo answer it: interlock inbox show 1k0/s")


def made(**declared):
    team = il.Team([il.Agent("ann")], notify=[declared])
    return recipient(team, team.notify[0])


def delivered(url, message=MESSAGE):
    return asyncio.run(made(url=url).deliver(message))


# --- services ---


def test_a_webhook_gets_the_message_as_it_is():
    async def main():
        async with endpoint(lambda _: OK) as sink:
            await made(url=f"json://{sink.url.removeprefix('http://')}/hook").deliver(MESSAGE)
            return sink.posted

    [posted] = asyncio.run(main())
    told = json.loads(posted.body)
    assert posted.target == "/triage/hook"
    assert (told["title"], told["message"]) == (MESSAGE.title, MESSAGE.text)


def test_a_mail_gets_there():
    async def main():
        async with mailbox() as box:
            url = f"mailto://127.0.0.1:{box.port}?to=ann@example.com&from=desk@example.com&mode=insecure"
            await made(url=url).deliver(MESSAGE)
            return box.mails

    [(to, text)] = asyncio.run(main())
    assert to == ["ann@example.com"]
    assert "Subject: desk: refund waits" in text


def test_a_mail_that_is_refused_is_not_delivered():
    async def main():
        async with mailbox(refuses=True) as box:
            url = f"mailto://127.0.0.1:{box.port}?to=ann@example.com&from=desk@example.com&mode=insecure"
            with pytest.raises(NotDelivered):
                await made(url=url).deliver(MESSAGE)

    asyncio.run(main())


def test_secrets_are_put_into_an_address_as_parts_of_it(monkeypatch):
    monkeypatch.setenv("HOOK_PASSWORD", "p@ss/w:rd?x")

    async def main():
        async with endpoint(lambda _: OK) as sink:
            await made(url=f"json://ann:${{HOOK_PASSWORD}}@{sink.url.removeprefix('http://')}/").deliver(MESSAGE)
            return sink.posted

    [posted] = asyncio.run(main())
    assert base64.b64decode(posted.headers["authorization"].removeprefix("Basic ")) == b"ann:p@ss/w:rd?x"


def test_a_secret_that_is_a_whole_address_is_read_anew_for_each_message(monkeypatch):
    async def main():
        async with endpoint(lambda _: OK) as sink:
            to = made(url="${HOOK_URL}")
            for path in ("one", "two"):
                monkeypatch.setenv("HOOK_URL", f"json://{sink.url.removeprefix('http://')}/{path}")
                await to.deliver(MESSAGE)
            return [posted.target for posted in sink.posted]

    assert asyncio.run(main()) == ["/triage/one", "/triage/two"]


def test_a_secret_that_is_not_set_is_named():
    with pytest.raises(AccessDenied, match="there is no HOOK_URL; set HOOK_URL in the environment"):
        made(url="${HOOK_URL}").check()


def test_without_apprise_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra) as missing:
        made(url="json://localhost").check()
    assert str(missing.value) == "apprise is not installed; pip install 'interlock[notify]'"


def test_what_a_server_refuses_is_not_delivered_and_says_why_without_secrets(monkeypatch):
    monkeypatch.setenv("HOOK_TOKEN", "tok-0123456789abcdef")

    async def main():
        async with endpoint(lambda _: b"HTTP/1.1 500 tok-0123456789abcdef\r\ncontent-length: 0\r\n\r\n") as sink:
            with pytest.raises(NotDelivered) as failed:
                await made(url=f"json://{sink.url.removeprefix('http://')}/${{HOOK_TOKEN}}").deliver(MESSAGE)
            return str(failed.value), len(sink.posted)

    said, times = asyncio.run(main())
    assert "500" in said
    assert "tok-0123" not in said
    assert times == 1  # apprise doesn't try again: the engine does


def test_what_nobody_answers_is_not_delivered():
    with pytest.raises(NotDelivered, match="onnection"):
        delivered("json://127.0.0.1:9/?cto=1&rto=1")


def test_an_address_that_apprise_does_not_know_is_not_shown(monkeypatch):
    monkeypatch.setenv("HOOK_URL", "nonsense://tok-0123456789abcdef")
    with pytest.raises(NotDelivered) as failed:
        delivered("${HOOK_URL}")
    assert "apprise can make nothing of its address" in str(failed.value)
    assert "0123" not in str(failed.value)


def test_a_probe_sends_nothing():
    async def main():
        async with endpoint(lambda _: OK) as sink:
            return await made(url=f"json://{sink.url.removeprefix('http://')}").probe(), sink.posted

    assert asyncio.run(main()) == ("JSON", [])


def test_the_loop_goes_on_while_a_server_hangs():
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as server:  # it takes connections, and says nothing
            port = server.getsockname()[1]
            delivery = asyncio.create_task(made(url=f"json://127.0.0.1:{port}/?rto=30").deliver(MESSAGE))
            began = time.monotonic()
            await asyncio.sleep(0.2)
            assert time.monotonic() - began < 5
            delivery.cancel()
            with pytest.raises(asyncio.CancelledError):
                await delivery

    asyncio.run(main())


def test_a_hanging_delivery_does_not_keep_the_process_alive():
    program = """
import asyncio, socket, time
import interlock as il
from interlock.agents.notify import recipients
from interlock.engine.messages import trial
server = socket.create_server(("127.0.0.1", 0))
url = f"json://127.0.0.1:{server.getsockname()[1]}/?rto=300"
team = il.Team([il.Agent("ann")], notify=[url, lambda message: time.sleep(300)])
async def main():
    for to in recipients(team):
        try:
            async with asyncio.timeout(1):
                await to.deliver(trial("desk"))
        except TimeoutError:
            print("late")
asyncio.run(main())
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout.split()) == (0, ["late", "late"]), done.stderr
    assert time.monotonic() - began < 30


# --- functions ---


def test_an_async_function_is_called_in_the_loop_and_any_other_in_a_thread():
    heard = []

    async def tell(message):
        heard.append((message, threading.current_thread() is threading.main_thread()))

    def say(message):
        heard.append((message, threading.current_thread() is threading.main_thread()))

    for function in (tell, say):
        asyncio.run(made(use=function).deliver(MESSAGE))
    assert heard == [(MESSAGE, True), (MESSAGE, False)]


def test_a_function_needs_no_extra(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    heard = []
    to = made(use=heard.append)
    to.check()
    asyncio.run(to.deliver(trial("desk")))
    assert heard == [trial("desk")]
    assert "append" in asyncio.run(to.probe())


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), StopIteration()])
def test_whatever_a_function_raises_is_an_error_like_any_other(error):
    def tell(message):
        raise error

    with pytest.raises(NotDelivered):
        asyncio.run(made(use=tell).deliver(MESSAGE))


def test_a_function_of_a_team_file_is_found_beside_it(tmp_path):
    (tmp_path / "hooks.py").write_text("heard = []\ndef tell(message):\n    heard.append(message)\ndef none(): pass\n")
    text = "agents:\n  ann: {allowed_actions: [], context_access: [], write_permissions: [], use: hooks:tell}\n"
    (tmp_path / "team.yaml").write_text(f"{text}notify:\n  - {{use: hooks:tell}}\n")
    [to] = recipients(il.Team.load(tmp_path))
    asyncio.run(to.deliver(MESSAGE))
    assert to._function.__globals__["heard"] == [MESSAGE]

    (tmp_path / "team.yaml").write_text(f"{text}notify:\n  - {{use: hooks:tel}}\n  - {{use: hooks:none}}\n")
    with pytest.raises(TeamError) as refused:
        recipients(il.Team.load(tmp_path))
    one, other = refused.value.problems
    assert "has no function tel" in str(one)
    assert (one.line, other.line) == (4, 5)
    assert "its function can't be called with a message; write def tell(message)" in str(other)


def test_apprise_is_imported_when_something_is_told():
    program = (
        "import sys, interlock as il\n"
        "il.run(il.Team([il.Agent('a', use=lambda job: {}, isolation='thread', scope=il.Scope(['w']))],"
        " il.Plan([il.Step('s', 'a', 'w')]), notify=['json://localhost']), {})\n"
        "assert 'apprise' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert notify.__name__ in sys.modules
