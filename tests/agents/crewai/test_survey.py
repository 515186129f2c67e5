"""Crews as they are made, none of whose tasks is ever begun."""

import pytest

import interlock as il
from interlock.errors import InputError
from interlock.survey import survey

CREWS = '''
from crewai import LLM, Agent, Crew, Process, Task
from crewai.project import CrewBase, agent, crew, task
from crewai.tools import tool
from pydantic import BaseModel

print("a module prints")

@tool("send mail")
def send_mail(text: str) -> str:
    """Send."""
    raise AssertionError(text)

@tool("search")
def search(text: str) -> str:
    """Search."""
    raise AssertionError(text)

class Report(BaseModel):
    title: str
    score: int | None = None
    points: list[str]

def llm():
    return LLM(model="openai/gpt-4o-mini", base_url="http://127.0.0.1:9", api_key="k-12345678", max_retries=0)

def agents():
    researcher = Agent(role="Senior Researcher ({topic})", goal="Find out", backstory="", llm=llm(), tools=[search])
    writer = Agent(role="Writer", goal="Write: it\\nwell", backstory="", llm=llm(), tools=[search, send_mail],
                   allow_delegation=True, max_execution_time=60)
    return researcher, writer

def make_crew():
    researcher, writer = agents()
    facts = Task(name="facts", description="Find {topic} of {year}.", expected_output="Facts", agent=researcher,
                 output_pydantic=Report, async_execution=True)
    market = Task(name="the market", description="Its market", expected_output="Facts", agent=researcher,
                  async_execution=True)
    text = Task(description="Write it: \\"quoted\\", [a, b] # no", expected_output="Text", agent=writer,
                context=[facts], output_file="out.md")
    check = Task(description="Check it", expected_output="Text", agent=writer, human_input=True, output_file="out.md")
    return Crew(agents=[researcher, writer], tasks=[facts, market, text, check])

def managed():
    task = Task(description="Do it", expected_output="it")
    return Crew(agents=[*agents()], tasks=[task], process=Process.hierarchical, manager_llm=llm(), max_rpm=5,
                checkpoint=True)

@CrewBase
class Project:
    @agent
    def clerk(self) -> Agent:
        return Agent(role="clerk", goal="sort", backstory="", llm=llm(), max_rpm=5, max_execution_time=5)

    @task
    def sort(self) -> Task:
        return Task(description="Sort {ticket}", expected_output="x", agent=self.clerk(), human_input=True,
                    guardrail="It is one word.")

    @crew
    def crew(self) -> Crew:
        return Crew(agents=self.agents, tasks=self.tasks, checkpoint=True)

ready = managed()

def broken(): raise ValueError("no crew today")
def nothing(): return 5
def wants(it): return it
def idle(): return Crew(agents=[agents()[0]], tasks=[])
'''

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("default"),  # CrewAI's own
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("surveyed")
    (made / "surveyed_crews.py").write_text(CREWS)
    return made


def surveyed(name, folder):
    return survey(f"crewai:surveyed_crews:{name}", folder)


def team_of(found, folder):
    (folder / "team.yaml").write_text(found.skeleton)
    return il.Team.load(folder)


def of(found, code):
    return [finding for finding in found.findings if finding.code == code]


def test_agents_tasks_and_what_they_are_shown(folder, tmp_path, capsys):
    found = surveyed("make_crew", folder)
    assert "a module prints" not in capsys.readouterr().out
    team = team_of(found, tmp_path)
    assert [*team.agents] == ["Senior_Researcher_topic", "Writer"]
    assert {step.id: step.needs for step in team.plan.declared} == {
        "facts": (),
        "the_market": (),
        "task_3": ("facts", "the_market"),
        "task_4": ("task_3",),
    }
    facts, market, text, check = team.plan.declared
    assert (facts.reads, facts.writes) == (("topic", "year"), ("results.facts",))
    assert facts.schema["properties"]["results.facts"]["required"] == ["title", "points"]
    assert (market.reads, text.reads) == (("topic",), ("results.facts",))
    assert check.reads == ("results.facts", "results.the_market", "results.task_3")
    assert text.instructions == 'Write it: "quoted", [a, b] # no'
    assert team.agents["Writer"].timeout == "60s"
    assert "all of it can work as one agent: crewai: surveyed_crews:make_crew" in found.skeleton


def test_what_is_wrong_with_a_crew(folder):
    found = surveyed("make_crew", folder)
    assert {finding.code for finding in found.findings} == {
        "delegation",
        "loop",
        "no_checkpoint",
        "no_rate",
        "no_timeout",
        "reads_all",
        "renamed",
        "same_file",
        "shared_tool",
        "unasked_effect",
        "unchecked",
    }
    assert of(found, "no_timeout")[0].agents == ("Senior_Researcher_topic",)
    assert of(found, "delegation")[0].agents == ("Writer",)
    assert "the_market, task_3, task_4" in of(found, "unchecked")[0].message
    assert [finding.where for finding in of(found, "unasked_effect")] == ["task_3"]  # a person looks at task_4


def test_a_manager_is_an_agent_and_named(folder, tmp_path):
    for name in ("managed", "ready"):
        found = surveyed(name, folder)
        assert of(found, "managed")
        assert not {"no_checkpoint", "no_rate"} & {finding.code for finding in found.findings}
        assert team_of(found, tmp_path).plan.declared[0].agent == "manager"
        assert ("can work as one agent" in found.skeleton) is (name == "managed")


def test_a_class_with_crewbase(folder, tmp_path):
    found = surveyed("Project", folder)
    assert {finding.code for finding in found.findings} == {"loop"}
    assert team_of(found, tmp_path).plan.declared[0].reads is None
    assert found.system.steps[0].reads == ("ticket",)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", "surveyed_crews:broken fails: ValueError: no crew today"),
        ("nothing", "surveyed_crews:nothing is no crew: int"),
        ("wants", "surveyed_crews:wants can't be called without arguments"),
        ("idle", "surveyed_crews:idle has no tasks"),
        ("nowhere", "surveyed_crews has no function nowhere"),
    ],
)
def test_what_is_no_crew_is_refused_in_one_sentence(folder, name, told):
    with pytest.raises(InputError) as caught:
        surveyed(name, folder)
    assert told in caught.value.message
