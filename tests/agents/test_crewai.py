"""What of the adapter of CrewAI works without it."""

import pytest

import interlock as il
from interlock.agents import extras
from interlock.agents.crew import inputs_of
from interlock.agents.crewai import from_crewai
from interlock.agents.prompt import prompt_of
from interlock.agents.tools import Workshop
from interlock.errors import MissingExtra
from interlock.wiring import adapters

from .scenes import job


def make_crew():
    """Never called here."""


def test_without_crewai_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(extras, "_is_installed", lambda module: False)
    team = il.Team(
        [il.Agent("triage", crewai="crews:make_crew", scope=il.Scope(["sort"]))],
        il.Plan([il.Step("sort", "triage", "sort")]),
    )
    for make in (lambda: from_crewai(make_crew), lambda: adapters(team, Workshop.of(team))):
        with pytest.raises(MissingExtra, match=r"crewai is not installed; pip install 'interlock\[crewai\]'"):
            make()


def test_inputs_are_texts_without_placeholders():
    given = job(view={"ticket": {"text": "{data} {a b} {}"}, "name": "{x}", "n": 1}, item=["{y}"])
    inputs = inputs_of(given, prompt_of(given))
    assert inputs["ticket"] == r'{"text":"\u007bdata} {a b} {}"}'
    assert (inputs["name"], inputs["n"], inputs["item"]) == ("{ x}", "1", r'["\u007by}"]')
    assert inputs["task"] == f"{inputs['instructions']}\n\n{inputs['data']}"
    assert set(inputs) == {"ticket", "name", "n", "item", "instructions", "data", "task"}
