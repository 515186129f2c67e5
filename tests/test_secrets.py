"""A secret that is planted in the environment turns up nowhere: in no journal, on no terminal, in no log or result."""

import asyncio
import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

import interlock as il
from interlock.core.events import AttemptCommitted, encode
from interlock.errors import InputError, TeamError
from interlock.team.load import load
from tests.agents.endpoints import endpoint, http

NAME, KEY = "PLANTED_API_KEY", 'sk-planted"5f1d\\0c7e9b3a4286'

AGENTS = f"""
import logging, os, sys
import interlock as il

def key():
    return os.environ["{NAME}"]

async def raises(job):
    raise ValueError("denied: " + key())

async def raises_far_on(job):
    raise il.AgentError("x" * 1_990 + key())

async def refuses(job):
    raise il.AgentRefused("denied: " + key())

async def replies(job):
    return {{"out.replies": ["as it is: " + key()]}}

async def replies_a_key(job):
    return {{"out.replies_a_key": {{key(): 1}}}}

async def outputs(job):
    return il.Reply(output={{"client": key()}})

async def asks(job):
    return il.Reply(ask=il.Question("May I?", (key(), "no")))

async def charges(job):
    return il.Reply(writes={{"out.charges": 1}}, usage=il.Usage(1, 1, model=key()))

async def writes_elsewhere(job):
    return {{"elsewhere." + "x" * 480 + key(): 1}}

async def answers_nonsense(job):
    return {{"out.answers_nonsense": (key() + "x" * 300, "x" * 140 + key() + "y" * 145)}}

async def writes_no_path(job):
    return {{"." * (81 - len(key())) + key(): 1}}

async def writes_no_json(job):
    return {{"out.writes_no_json": {{"x" * (81 - len(key())) + key(): (1,)}}}}

async def answers_bytes(job):
    return {{"out.answers_bytes": b"x" * (301 - len(key())) + key().encode()}}

async def logs(job):
    logging.getLogger("interlock").warning("agent logs: %s", key())
    return {{"out.logs": 1}}

def raises_in_a_process(job):
    raise ValueError("denied: " + key())

def replies_from_a_process(job):
    return {{"out.replies_from_a_process": key()}}

def is_hostile(job):
    from interlock import errors
    from interlock.agents import worker
    errors.hide = worker.hidden = str
    errors.excerpt = lambda text, chars_max: text[:chars_max]
    if job.attempt == 1:
        raise il.AgentError("x" * 1_990 + key())
    return {{"elsewhere": key(), "more": (key(),)}}
"""

DUMPS = "import json, os; print(json.dumps({'writes': {'out.dumps': dict(os.environ)}}))"
FAILS = "import os, sys; sys.exit('denied: ' + os.environ['KEY'])"


def declaration(name, body):
    scope = {"allowed_actions": ["act"], "write_permissions": [f"out.{name}"]}
    return {**scope, "retries": 1, "backoff": "1ms", "timeout": "20s", **body}


def team(folder, url):
    (folder / "leaky.py").write_text(textwrap.dedent(AGENTS))
    bodies = {
        name: {"use": f"leaky:{name}"} for name in re.findall(r"^(?:async )?def (\w+)\(job\)", AGENTS, re.MULTILINE)
    }
    bodies["dumps"] = {"command": {"run": [sys.executable, "-c", DUMPS], "env": {"KEY": f"${{{NAME}}}"}}}
    bodies["fails"] = {"command": {"run": [sys.executable, "-c", FAILS], "env": {"KEY": f"${{{NAME}}}"}}}
    bodies["posts"] = {"http": {"url": url, "headers": {"X-Planted": "key-${PLAIN_API_KEY}"}}}
    document = {
        "agents": {name: declaration(name, body) for name, body in bodies.items()},
        "plan": [{"id": name, "agent": name, "action": "act"} for name in bodies],
    }
    (folder / "team.yaml").write_text(json.dumps(document))
    (folder / "request.json").write_text("{}")
    return sorted(bodies)


PLAIN = "sk-plain-77aa5f1d0c7e9b3a"


@pytest.fixture
def planted(monkeypatch):
    monkeypatch.setenv(NAME, KEY)
    monkeypatch.setenv("PLAIN_API_KEY", PLAIN)


def traces(text):
    """The pieces of the planted keys that stand in a text."""
    # Both as they are and in JSON; no piece of eight characters either.
    pieces = {KEY[:8], KEY[-8:], PLAIN[:8], PLAIN[-8:], json.dumps(KEY)[1:-1]}
    return sorted(piece for piece in pieces if piece in text)


def command(folder, *words):
    ended = subprocess.Popen(
        [sys.executable, "-m", "interlock", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
        text=True,
    )
    out, err = ended.communicate(timeout=50)
    assert traces(out) == traces(err) == [], f"interlock {' '.join(words)}"
    return ended.returncode, out, err


def test_whatever_agents_do_with_a_key_it_is_told_nowhere(tmp_path, planted):
    async def main():
        async with endpoint(lambda posted: http({"error": posted.headers["x-planted"]}, 401)) as there:
            names = team(tmp_path, there.url)
            return names, await asyncio.to_thread(command, tmp_path, "run", ".", "--input", "request.json", "--json")

    names, (code, out, err) = asyncio.run(main())
    assert code == 1, out + err
    shown = json.loads(command(tmp_path, "show", "last", "--json")[1])
    for more in (["show", "last"], ["replay", "last"], ["runs"]):
        command(tmp_path, *more)
    journal = b"".join(file.read_bytes() for file in tmp_path.joinpath(".interlock").iterdir() if file.is_file())
    assert traces(journal.decode("latin-1")) == []
    told = json.dumps(shown)
    assert told.count(f"[{NAME}]") > 10
    assert "[PLAIN_API_KEY]" in told
    statuses = {step["id"]: step["state"] for step in shown["plan"]}
    assert sorted(statuses) == names
    assert {name for name in names if statuses[name] == "committed"} == {"logs"}
    assert f"the reply holds the value of {NAME}" in told


def test_an_observer_and_the_result_get_none(tmp_path, planted, caplog, capfd):
    team(tmp_path, "http://127.0.0.1:1/")
    seen = []

    async def main():
        observe = lambda _, events: seen.extend(events)  # noqa: E731 - as users write it
        async with il.Orchestrator(load(tmp_path), ":memory:", on_event=observe) as orchestrator:
            return await orchestrator.run({"n": 1})

    run = asyncio.run(main())
    assert traces(run.reason + json.dumps(run.context.to_dict()) + caplog.text + "".join(capfd.readouterr())) == []
    assert traces(b"".join(map(encode, seen)).decode()) == []
    assert [fact.step for fact in seen if isinstance(fact, AttemptCommitted)] == ["logs"]


def test_a_reply_without_it_is_committed_at_the_next_attempt(planted):
    async def learns(job):
        return {"answer": "a key" if job.feedback else KEY, "told": list(job.feedback)}

    agent = il.Agent("ann", use=learns, scope=il.Scope(["act"], [], ["answer", "told"]))
    run = il.run(il.Team([agent], il.Plan([il.Step("only", "ann", "act")])), {})
    assert run.context.to_dict() == {
        "answer": "a key",
        "told": [f"the reply holds the value of {NAME}, which is secret; leave it out"],
    }


def one_agent(**given):
    async def works(job):
        return {"answer": 1}

    agent = il.Agent("ann", use=works, scope=il.Scope(["act"], [], ["answer"]))
    return il.Team([agent], il.Plan([il.Step("only", "ann", "act", **given)]))


def test_a_request_that_holds_one_is_not_taken(planted):
    with pytest.raises(InputError, match=f"the request holds the value of {NAME}") as error:
        il.run(one_agent(), {"deep": [{"text": f"my key is {KEY}"}]})
    assert traces(str(error.value)) == []


def test_a_team_that_holds_one_is_not_run(planted, tmp_path):
    with pytest.raises(TeamError, match=f"the team holds the value of {NAME}") as error:
        il.Orchestrator(one_agent(instructions=f"use {KEY}"), tmp_path / "runs.db")
    assert traces(str(error.value)) == []
    assert not [*tmp_path.iterdir()]


def test_the_reason_of_a_cancellation_is_told_without(planted, tmp_path):
    async def main():
        async with il.Orchestrator(one_agent(), tmp_path / "runs.db") as orchestrator:
            run = await orchestrator.run({})
            # One that has ended stays as it is; what was asked for is stored neither.
            await orchestrator.cancel(run.run_id, reason=KEY)

    asyncio.run(main())
    assert traces((tmp_path / "runs.db").read_bytes().decode("latin-1")) == []
