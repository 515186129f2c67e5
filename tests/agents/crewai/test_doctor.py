"""The doctor has a worker make a crew, and asks it nothing."""

import pytest

import interlock as il
from interlock.doctor import examine
from tests.agents.scenes import children

CREWS = """
from crewai import LLM, Agent, Crew, Task

def make_crew():
    llm = LLM(model="openai/gpt-4o-mini", base_url="http://127.0.0.1:9", api_key="k-12345678", max_retries=0)
    clerk = Agent(role="clerk", goal="sort tickets", backstory="", llm=llm)
    return Crew(agents=[clerk], tasks=[Task(description="{task}", expected_output="JSON", agent=clerk)])

def broken():
    raise ValueError("no crew today")

def nothing():
    return 5
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_crews_are_made_and_what_comes_of_it_is_told(tmp_path):
    (tmp_path / "crews.py").write_text(CREWS)
    uses = ("make_crew", "broken", "nothing")
    agents = "".join(f"  {use}: {{crewai: 'crews:{use}', allowed_actions: [act]}}\n" for use in uses)
    (tmp_path / "team.yaml").write_text(f"agents:\n{agents}plan: [{{id: s, agent: broken, action: act}}]\n")
    before = children()
    found = {one.subject: one for one in examine(il.Team.load(tmp_path)).agents}
    assert (found["make_crew"].state, found["make_crew"].text) == ("ok", "crews:make_crew is made by a worker")
    assert found["broken"].state == "failed"
    assert "crews:broken fails: ValueError: no crew today" in found["broken"].text
    assert found["nothing"].text == "crews:nothing returned a int, not a crew"
    assert children() == before
