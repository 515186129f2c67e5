"""What a team lacks, and whether what is behind its agents answers: all at once, in bounded time."""

import asyncio
import contextlib
import socket
import time

import pytest

import interlock as il
from interlock.agents.bound import Blueprint, BoundAdapter
from interlock.doctor import Diagnosis, examination, examine
from interlock.errors import AccessDenied, MissingExtra, TeamError, Unreachable


async def work(job):
    return {}


class Behind:
    """An adapter whose server says something, or nothing."""

    slots = None

    def __init__(self, said):
        self.said, self.closed = said, 0

    async def __call__(self, job):
        return {}

    async def call(self, job, began):
        return {}

    async def probe(self):
        if self.said is None:
            await asyncio.sleep(3_600)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    async def close(self):
        self.closed += 1


def diagnosis(use, monkeypatch=None, **given):
    scope = il.Scope(allowed_actions=["act"])
    team = il.Team([il.Agent("ann", use=use, scope=scope, **given)], il.Plan([il.Step("s", agent="ann", action="act")]))
    [found] = examine(team).agents
    return found


def team_of(*uses):
    scope = il.Scope(allowed_actions=["act"])
    agents = [il.Agent(f"a{number}", use=use, scope=scope) for number, use in enumerate(uses)]
    return il.Team(agents, il.Plan([il.Step("s", agent="a0", action="act")]))


def test_the_agents_of_a_nested_team_are_looked_at_with_those_of_the_whole():
    outer = il.Agent("team", use=team_of(work, "no_such_module:work"), scope=il.Scope(["act"]))
    found = examine(il.Team([outer], il.Plan([il.Step("s", agent="team", action="act")])))
    assert [(one.subject, one.kind, one.is_fine) for one in found.agents] == [
        ("team", "team", True),
        ("team > a0", "use", True),
        ("team > a1", "use", False),
    ]
    assert found.agents[0].text == "a0, a1"
    assert "there is no module no_such_module" in found.agents[2].text


def test_an_agent_that_can_be_called_is_fine():
    assert diagnosis(work) == Diagnosis("ann", "use", "ok", "can be called")


def test_what_answers_is_told_and_closed():
    behind = Behind("answers in 3 ms")
    assert diagnosis(behind) == Diagnosis("ann", "use", "ok", "answers in 3 ms")
    assert behind.closed == 1


@pytest.mark.parametrize(
    ("error", "state", "text", "fix"),
    [
        (Unreachable("nobody listens on port 80"), "failed", "nobody listens on port 80", ""),
        (AccessDenied("there is no KEY", fix="set KEY"), "missing", "there is no KEY", "set KEY"),
        (MissingExtra("x is not installed", fix="pip install x"), "missing", "x is not installed", "pip install x"),
    ],
)
def test_what_does_not_answer_is_told_with_the_mend(error, state, text, fix):
    assert diagnosis(Behind(error)) == Diagnosis("ann", "use", state, text, fix)


def test_what_never_answers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(examination, "PROBE_SECONDS_MAX", 0.01)
    assert diagnosis(Behind(None)) == Diagnosis("ann", "use", "failed", "no answer within 0.01 s")


def test_code_that_is_not_there_is_told(tmp_path):
    found = diagnosis("no_such_module:work")
    assert (found.state, found.text) == (
        "failed",
        "agent ann uses no_such_module:work: there is no module no_such_module",
    )


def test_one_agent_that_cannot_be_made_hides_no_other():
    scope = il.Scope(allowed_actions=["act"])
    agents = [il.Agent("ann", use="no_such_module:work", scope=scope), il.Agent("ben", use=work, scope=scope)]
    found = examine(il.Team(agents, il.Plan([il.Step("s", agent="ann", action="act")]))).agents
    assert [(one.subject, one.state) for one in found] == [("ann", "failed"), ("ben", "ok")]


def test_a_team_that_can_only_be_audited_says_so():
    found = diagnosis(None)
    assert (found.state, found.fix) == ("failed", "name its code: use: module:function")
    with pytest.raises(TeamError, match="no plan"):
        _ = il.Team([il.Agent("ann", scope=il.Scope())]).rules


class Slow(Behind):
    """One that answers after a while; it notes how many are asked at the same time."""

    asked = most = 0

    async def probe(self):
        Slow.asked += 1
        Slow.most = max(Slow.most, Slow.asked)
        await asyncio.sleep(self.said)
        Slow.asked -= 1
        return f"after {self.said} s"


def test_all_are_asked_at_once_and_told_in_the_order_of_the_team():
    Slow.most = 0
    found = examine(team_of(Slow(0.2), Slow(0.1), Slow(0.0)))
    assert [(one.subject, one.text) for one in found.agents] == [
        ("a0", "after 0.2 s"), ("a1", "after 0.1 s"), ("a2", "after 0.0 s")
    ]  # fmt: skip
    assert Slow.most == 3


def test_an_adapter_that_starts_a_worker_has_the_time_of_a_worker(monkeypatch):
    class Starting(BoundAdapter):
        async def probe(self):
            await asyncio.sleep(0.3)
            return "imported"

    monkeypatch.setattr(examination, "PROBE_SECONDS_MAX", 0.1)
    assert diagnosis(Starting("crews", Blueprint("crews:make_crew", {}))).text == "imported"
    assert diagnosis(Slow(0.3)).text == "no answer within 0.1 s"


def test_who_watches_is_told_who_is_still_waited_for():
    heard = []
    examine(team_of(Slow(0.2), Slow(0.0), work), lambda importing, waiting: heard.append(importing or waiting))
    assert heard[:4] == ["a0", "a1", "a2", ["a0", "a1", "a2"]]
    assert heard[-2:] == [["a0"], []]


class Stubborn(Behind):
    """One that goes on whatever is asked of it."""

    async def probe(self):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        return "at last"


def test_what_ignores_its_cancellation_is_left_alone(monkeypatch):
    monkeypatch.setattr(examination, "PROBE_SECONDS_MAX", 0.01)
    began = time.monotonic()
    found = diagnosis(Stubborn(""))
    assert (found.state, found.text) == ("failed", "no answer within 0.01 s")
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3)])
def test_a_probe_that_raises_anything_hides_no_other(error):
    class Odd(Behind):
        async def probe(self):
            raise error

    first, second = examine(team_of(Odd(""), Behind("fine"))).agents
    assert (first.state, second.state) == ("failed", "ok")
    assert type(error).__name__ in first.text


class Clinging(Behind):
    async def close(self):
        raise self.said


def test_one_that_cannot_be_closed_leaves_no_other_open(caplog):
    others = [Behind("fine"), Behind("fine")]
    found = examine(team_of(others[0], Clinging(RuntimeError("no")), others[1]))
    assert [one.closed for one in others] == [1, 1]
    assert found.agents[0].is_fine
    assert "closing Clinging failed: RuntimeError: no" in caplog.text


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ({"use": "json:loads"}, "json:loads"),
        ({"command": ["true", "--fast"]}, "true --fast"),
        ({"command": {"run": ["true"]}}, "true"),
    ],
)
def test_what_cannot_be_asked_is_named(declared, text):
    found = of_one(**declared)
    assert (found.state, found.text) == ("ok", text)


def of_one(**declared):
    team = il.Team([il.Agent("ann", scope=il.Scope(), **declared)], il.Plan([il.Step("s", agent="ann", action="act")]))
    [found] = examine(team).agents
    return found


def test_an_endpoint_is_sent_nothing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/triage"
        found = of_one(http=url)
        connection, _ = server.accept()
        with connection, contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert (found.state, found.text) == ("ok", url)
    found = of_one(http=url)
    assert found.state == "failed"
    assert found.text.startswith("nothing takes connections at 127.0.0.1:")


@pytest.mark.parametrize(
    "declared",
    [
        {"http": {"url": "http://127.0.0.1:9/", "headers": {"authorization": "Bearer ${NO_SUCH_KEY}"}}},
        {"command": {"run": ["true"], "env": {"KEY": "${NO_SUCH_KEY}"}}},
    ],
)
def test_a_secret_that_is_not_there_is_missed(declared):
    found = of_one(**declared)
    assert (found.state, "NO_SUCH_KEY" in found.text) == ("missing", True)
