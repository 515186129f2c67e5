"""What a crew is told, what becomes of its answer, and what is left of it; with real crews in worker processes."""

import importlib
import inspect
import json
import re
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

import interlock as il
from interlock.agents.crew import ANSWERS
from interlock.agents.crewai import CrewAdapter, from_crewai
from interlock.agents.tools import Workshop
from interlock.errors import AgentError, AgentRefused, TeamError
from tests.agents.model_server import KEY, ModelServer
from tests.agents.scenes import alive, children, in_loop, job, nothing
from tests.test_docs import prepared

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
WRITES = ("ticket.category", "ticket.priority")


@pytest.fixture
def server():
    with ModelServer() as server:
        yield server


@pytest.fixture
def ask(crews, server):
    """Have a crew do a job: `ask(source, given)`."""

    def ask(source, given=None, model="normal"):
        adapter = crews.adapter(textwrap.dedent(source), server, model)
        return crews.run(adapter.call(given or job(view={"ticket": {"text": "hello"}}, writes=WRITES), nothing))

    return ask


def said(server):
    return "\n".join(message["content"] for message in server.requests[-1].body["messages"])


# --- what it is told ---


def test_templates_are_filled_with_the_top_levels_of_the_view(ask, server):
    source = 'def make_crew(): return crew_of(make_llm(), "Sort {ticket} for {customer}. {instructions}")'
    ask(source, job(view={"ticket": {"n": [1]}, "customer": "Ada"}, writes=WRITES, instructions="Be quick."))
    assert 'Sort {"n":[1]} for Ada. Be quick.' in said(server)


def test_a_crew_that_knows_nothing_of_interlock_is_told_its_task_at_the_end(ask, server):
    given = job(view={"ticket": "hello"}, writes=WRITES, instructions="Be quick.", feedback=("Too vague.",))
    reply = ask('def make_crew(): return crew_of(make_llm(), "Sort {ticket}.")', given)
    assert set(reply.writes) == set(WRITES)
    told = said(server)
    assert "Sort hello.\n\nBe quick." in told
    assert "- Too vague." in told
    assert '"ticket": "hello"' in told


def test_placeholders_in_data_stay_as_they_are(ask, server):
    view = {"ticket": {"text": "{tools} {salary} {nothing} {{data}}"}, "salary": "80,000", "note": "{salary} {input}"}
    source = 'def make_crew(): return crew_of(make_llm(), "{note} {task}")'
    ask(source, job(view=view, writes=WRITES, instructions="Never say {salary}."))
    told = said(server)
    assert "{ salary} { input}" in told
    assert "Never say { salary}." in told
    assert json.loads('"' + told.partition('"text": "')[2].partition('"')[0] + '"') == view["ticket"]["text"]
    assert told.count("80,000") == 1


def test_a_placeholder_that_the_view_has_nothing_for_is_named(ask, server):
    with pytest.raises(AgentRefused, match=r"the crew asks for topic, which its job doesn't have; it has ticket"):
        ask('def make_crew(): return crew_of(make_llm(), "Write about {topic}.")')
    assert server.requests == []


# --- what becomes of its answer ---


def test_an_object_of_the_last_task_is_the_answer(ask):
    source = """
    from pydantic import BaseModel

    class Sorted(BaseModel):
        category: str
        priority: str

    def make_crew(): return crew_of(make_llm(), output_pydantic=Sorted)
    """
    assert ask(source).writes == {"ticket.category": "billing", "ticket.priority": "high"}


def test_agents_that_share_an_llm_are_counted_once(ask, server):
    source = """
    def make_crew():
        llm = make_llm()
        clerks = [Agent(role=f"clerk {n}", goal="sort", backstory="", llm=llm) for n in range(2)]
        return Crew(agents=clerks, tasks=[Task(description="{task}", expected_output="JSON", agent=c) for c in clerks])
    """
    usage = ask(source).usage
    counts = [request.usage for request in server.requests]
    assert (usage.requests, len(counts)) == (2, 2)
    assert usage.input_tokens == sum(count.input_tokens for count in counts)


def test_an_llm_that_all_crews_share_counts_for_each_call_alone(crews, server):
    adapter = crews.adapter("LLM_OF_ALL = make_llm()\ndef make_crew(): return crew_of(LLM_OF_ALL)", server)

    async def calls():
        return [(await adapter.call(job(view={"n": n}, writes=WRITES), nothing)).usage for n in range(3)]

    usages = crews.run(calls())
    assert [usage.input_tokens for usage in usages] == [request.usage.input_tokens for request in server.requests]


# --- factories that are none ---


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("make_crew = crew_of(make_llm())", "is a Crew, not a function that makes a new crew for each call"),
        ("def make_crew(): return None", "returned a NoneType, not a crew"),
        ("def make_crew(): raise ValueError('no licence')", "ValueError: no licence"),
        ("make_crews = 1", "has no function make_crew"),
    ],
)
def test_what_makes_no_crew_is_an_error(ask, source, why):
    with pytest.raises(AgentError, match=why):
        ask(source)


def test_a_crew_must_be_new_each_time(crews, server):
    adapter = crews.adapter("CREW = crew_of(make_llm())\ndef make_crew(): return CREW", server)

    async def calls():
        for _ in range(3):  # two workers may hand out their first one each
            await adapter.call(job(view={}, writes=WRITES), nothing)

    with pytest.raises(AgentRefused, match="returned the same crew twice; make a new one for each call"):
        crews.run(calls())


def test_each_crew_finds_what_the_first_found_whatever_the_last_has_stored(crews, server):
    source = """
import os, sqlite3

made = 0

def make_crew():
    global made
    made += 1
    folder = os.environ["CREWAI_STORAGE_DIR"]
    if made > 1:
        assert os.listdir(folder) == ["latest_kickoff_task_outputs.db"]
        with sqlite3.connect(folder + "/latest_kickoff_task_outputs.db") as database:
            assert [*database.execute("SELECT * FROM latest_kickoff_task_outputs")] == []
            if made == 3:
                database.execute("INSERT INTO latest_kickoff_task_outputs (task_id) VALUES ('left')")
    if made == 4:
        os.mkdir(folder + "/memory")
    return crew_of(make_llm())
"""
    adapter = crews.adapter(source, server)
    for _ in range(5):
        reply = crews.run(adapter.call(job(view={"ticket": {"text": "hello"}}, writes=WRITES), nothing))
        assert set(reply.writes) == set(WRITES)


# --- an adapter of its own ---

FUNCTIONS = """
import os, subprocess

def make_crew():
    llm = make_llm()
    llm.max_retries = 3
    return crew_of(llm, "{topic}")

def inputs_of(job):
    return {"topic": job.view["ticket.text"]}

def answer_of(result, job):
    child = subprocess.Popen(["sleep", "3600"]).pid
    return {"ticket.category": result.raw, "storage": os.environ["CREWAI_STORAGE_DIR"], "child": child}
"""


@pytest.fixture
def alone(crews, server, monkeypatch):
    """A module of functions, imported here as well."""
    name = crews.adapter(FUNCTIONS, server)._reference.partition(":")[0]
    monkeypatch.syspath_prepend(str(crews.folder))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return __import__(name)


@in_loop
async def test_functions_make_the_inputs_and_the_answer_and_nothing_stays_behind(alone, server, capfd):
    before = children()
    prices = {"input": 1.0, "output": 2.0}
    functions = {"input": alone.inputs_of, "output": alone.answer_of}
    adapter = from_crewai(alone.make_crew, **functions, price=prices, workers=1)
    reply = await adapter(job(view={"ticket": {"text": "hello"}}))
    assert said(server).count("hello") == 1
    assert json.loads(reply.writes["ticket.category"]) == {"category": "billing", "priority": "high"}
    [count] = [request.usage for request in server.requests]
    assert reply.usage.usd == pytest.approx((count.input_tokens + 2 * count.output_tokens) / 1e6)
    storage, child = Path(reply.writes["storage"]), reply.writes["child"]
    with closing(sqlite3.connect(storage / ANSWERS)) as answers:
        assert [*answers.execute("SELECT * FROM latest_kickoff_task_outputs")] == [], "nobody would read them"
    assert alive(child)
    await adapter.close()
    assert not _exists(storage.parent.parent)
    assert not alive(child)
    assert children() == before
    assert capfd.readouterr().err == "crewai: normal asks again 3 times by itself; give its LLM max_retries=0\n"


def _exists(path):
    return path.exists()


def test_functions_that_no_other_process_can_import_are_refused():
    with pytest.raises(TeamError, match=r"which can't import this function; .* at the top level of a module"):
        from_crewai(lambda: None)


def test_a_team_file_says_how_many_workers_there_are():
    def slots(**declared):
        agent = il.Agent("triage", crewai="crews:make_crew", scope=il.Scope(["sort"]), **declared)
        team = il.Team([agent], il.Plan([il.Step("sort", "triage", "sort")]))
        adapter = il.wiring.adapters(team, Workshop.of(team))["triage"]
        assert isinstance(adapter, CrewAdapter)
        return adapter.slots

    assert (slots(), slots(concurrency=5)) == (2, 5)


def test_the_page_shows_what_works(tmp_path, server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    server.answers('{"category": "billing"}', "gpt-4o-mini")
    program = tmp_path / "page.py"
    program.write_text(prepared("docs/agents-crewai.md", tmp_path))
    done = subprocess.run([sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("billing ")
    [request] = server.requests
    assert request.saw("I was charged twice.")
    assert not request.saw("not for the crew")


@pytest.mark.parametrize(
    ("module", "name"),
    [("crewai.llms.retry", "_LLM_RATE_LIMIT_MAX_ATTEMPTS"), ("crewai.events.event_context", "_default_config")],
)
def test_what_is_switched_off_without_a_setting_is_still_where_it_was(module, name):
    """A name that CrewAI has given up could be set without an error, and nothing would be switched off."""
    text = inspect.getsource(importlib.import_module(module))
    assert len(re.findall(rf"\b{name}\b", text)) > 1
