"""What is installed, what a team lacks, and whether what is behind its agents answers."""

import asyncio

import pytest

import interlock as il
from interlock import doctor
from interlock.doctor import Diagnosis, Extra, examine, extras
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
    [found] = examine(team)
    return found


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
    monkeypatch.setattr(doctor, "PROBE_SECONDS_MAX", 0.01)
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
    found = examine(il.Team(agents, il.Plan([il.Step("s", agent="ann", action="act")])))
    assert [(one.subject, one.state) for one in found] == [("ann", "failed"), ("ben", "ok")]


def test_a_team_that_can_only_be_audited_says_so():
    found = diagnosis(None)
    assert (found.state, found.fix) == ("failed", "name its code: use: module:function")
    with pytest.raises(TeamError, match="no plan"):
        _ = il.Team([il.Agent("ann", scope=il.Scope())]).rules


def test_every_extra_is_listed_with_what_it_brings():
    found = {extra.name: extra.packages for extra in extras()}
    assert {"llm", "langgraph", "crewai", "autogen", "openai-agents", "mcp", "local"} <= found.keys()
    assert found.keys().isdisjoint({"dev", "mutation"})
    assert found["mcp"]["mcp"]


def test_an_extra_is_installed_when_all_of_it_is():
    assert Extra("x", {"a": "1", "b": "2"}).is_installed
    assert not Extra("x", {"a": "1", "b": None}).is_installed


def test_without_an_installation_no_extra_is_known(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGE", "no-such-package")
    assert extras() == []
