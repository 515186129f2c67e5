"""Which implementation is chosen for what, and what is refused before anything runs."""

import asyncio
import functools
import json
import logging
import os
import subprocess
import sys
import threading
import time

import pytest

import interlock as il
from interlock.agents.function import FunctionAdapter, ThreadAdapter
from interlock.agents.process import ProcessAdapter
from interlock.agents.tools import Workshop
from interlock.errors import JournalError, RunInterrupted, TeamError, UsageError
from interlock.journal.memory import MemoryJournal
from interlock.journal.sqlite import SqliteJournal
from interlock.testing.injection.faults import Faults
from interlock.testing.injection.orchestrator import FaultyOrchestrator
from interlock.wiring import adapters, open_journal
from tests.agents.scenes import until

MODULE = """
import functools, os, time
import interlock as il

def sync(job):
    return {f"out.{job.step}": os.getpid()}

async def asynchronous(job):
    return {f"out.{job.step}": os.getpid()}

class Callable:
    def __call__(self, job):
        return {f"out.{job.step}": os.getpid()}

class AsyncCallable:
    async def __call__(self, job):
        return {f"out.{job.step}": os.getpid()}

instance, async_instance = Callable(), AsyncCallable()
partial = functools.partial(asynchronous)
nested = lambda job: {}

async def rude(job):
    time.sleep(1.2)
    return {f"out.{job.step}": os.getpid()}

def hang(job):
    time.sleep(3600)

decorated = il.agent("ann", retries=7)(lambda job: {})
"""


def scope():
    return il.Scope(["act"], ["*"], ["*"])


def team(*steps, **ann):
    plan = [il.Step(step, agent="ann", action="act", writes=[f"out.{step}"]) for step in steps or ["s0"]]
    return il.Team([il.Agent("ann", scope=scope(), retries=0, **ann)], il.Plan(plan))


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A module of functions that other processes can import, too."""
    folder = tmp_path_factory.mktemp("chosen")
    (folder / "chosen_agents.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    import chosen_agents

    yield chosen_agents
    sys.path.remove(str(folder))
    del sys.modules["chosen_agents"]


def local(job):
    return {f"out.{job.step}": os.getpid()}


def made(team):
    return adapters(team, Workshop.of(team))


def kind_of(use, isolation=None):
    adapter = made(team(use=use, isolation=isolation))["ann"]
    return {FunctionAdapter: "task", ProcessAdapter: "process", ThreadAdapter: "thread"}[type(adapter)]


# --- isolation ---


@pytest.mark.parametrize(
    ("name", "isolation", "kind"),
    [
        ("asynchronous", None, "task"),
        ("asynchronous", "task", "task"),
        ("asynchronous", "process", "process"),
        ("asynchronous", "thread", "thread"),
        ("async_instance", None, "task"),
        ("partial", None, "task"),
        ("sync", None, "process"),
        ("sync", "process", "process"),
        ("sync", "thread", "thread"),
        ("instance", None, "thread"),
        ("nested", None, "thread"),
    ],
)
def test_isolation_of_a_callable(chosen, name, isolation, kind):
    assert kind_of(getattr(chosen, name), isolation) == kind


@pytest.mark.parametrize(("name", "kind"), [("sync", "process"), ("asynchronous", "task"), ("instance", "process")])
def test_isolation_of_a_name(chosen, name, kind):
    assert kind_of(f"chosen_agents:{name}") == kind


def test_what_no_other_process_can_import_runs_in_a_thread_and_says_so(chosen, caplog):
    for use in (lambda job: {}, functools.partial(chosen.sync), chosen.instance):
        assert kind_of(use) == "thread"
    assert {record.getMessage() for record in caplog.records} == {
        "agent ann runs in a thread: nothing can stop it when it times out"
    }
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


@pytest.mark.parametrize(
    ("use", "isolation", "told"),
    [
        (lambda job: {}, "process", "no other process can import its function; define it at the top level of a module"),
        (
            lambda job: {},
            "task",
            "no async function, so it can't run as a task; write async def, or leave isolation out",
        ),
        (None, None, "agent ann has no use; name its code: use: module:function"),
        ("chosen_agents:missing", None, "has no function missing"),
        ("no_such_module:agent", None, "there is no module no_such_module"),
    ],
)
def test_an_agent_that_cannot_be_called_is_refused(chosen, use, isolation, told):
    with pytest.raises(TeamError) as refused:
        made(team(use=use, isolation=isolation))
    assert told in str(refused.value)


def test_every_agent_that_cannot_be_called_is_named():
    plan = il.Plan([il.Step("a", agent="a", action="act")])
    agents = [il.Agent(name, scope=il.Scope(["act"], [], [f"{name}.*"])) for name in ("a", "b")]
    with pytest.raises(TeamError) as refused:
        made(il.Team(agents, plan))
    assert [problem.place[:2] for problem in refused.value.problems] == [("agents", "a"), ("agents", "b")]


def test_a_problem_of_a_team_file_is_located(tmp_path):
    (tmp_path / "desk.py").write_text("def agent(job): return {}\n")
    (tmp_path / "team.yaml").write_text(
        "agents:\n"
        "  ann:\n"
        "    allowed_actions: [act]\n    context_access: [a]\n    write_permissions: [b]\n"
        "    use: desk:agent\n"
        "    isolation: task\n"
        "plan:\n  - {id: s0, agent: ann, action: act}\n"
    )
    with pytest.raises(TeamError) as refused:
        made(il.Team.load(tmp_path))
    assert (refused.value.line, refused.value.file) == (7, str(tmp_path / "team.yaml"))


@pytest.mark.parametrize(
    ("declared", "place", "told"),
    [
        ("use: no_such_module:agent", "use", "there is no module no_such_module"),
        ("llm: {model: 'local:none'}", "llm model", "there is no local model none"),
        ("llm: {model: 'openai:x', output: {z: text}}", "llm output", "its output: z is none of the fields"),
        ("llm: {model: 'openai:x', tools: {act: {use: os:sep}}}", "llm tools act use", "its tool act uses os:sep"),
        ("langgraph: os:sep", "langgraph", "a str"),
        ("langgraph: os:no_such", "langgraph", "the module os has no function no_such"),
        ("langgraph: {use: os:sep, output: os:sep}", "langgraph output", "output names a str, not a function"),
        ("autogen: os:sep", "autogen", "what stands for the agent is a str"),
        ("autogen: os:no_such", "autogen", "the module os has no function no_such"),
        ("autogen: {use: os:sep, input: os:sep}", "autogen input", "input names a str, not a function"),
        ("openai_agents: os:sep", "openai_agents", "what stands for the agent is a str"),
        ("openai_agents: os:no_such", "openai_agents", "the module os has no function no_such"),
        ("openai_agents: {use: os:sep, input: os:sep}", "openai_agents input", "input names a str, not a function"),
        ("http: {url: 'http://a.test', headers: {Host: x}}", "http headers Host", "'Host' is no header"),
        ("command: [no-such-program]", "command run", "there is no program 'no-such-program'"),
    ],
)
def test_a_problem_names_the_agent_and_the_place_once(tmp_path, declared, place, told):
    file = tmp_path / "team.yaml"
    file.write_text(
        f"agents:\n  ann:\n    allowed_actions: [act]\n    write_permissions: [b]\n    {declared}\n"
        "plan:\n  - {id: s0, agent: ann, action: act}\n"
    )
    with pytest.raises(TeamError) as refused:
        made(il.Team.load(file))
    where, said = str(refused.value).split(": agent ann", 1)
    assert (where, refused.value.place) == (f"{file}:5", ("agents", "ann", *place.split()))
    assert told in said
    assert "ann" not in said
    assert str(file) not in said


# --- processes, for real ---


def test_a_sync_agent_runs_in_another_process_and_keeps_it(chosen):
    ended = il.run(team("s0", "s1", use=chosen.sync, concurrency=1), {})
    assert ended.status == "succeeded"
    pids = set(ended.context["out"].values())
    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_an_agent_that_blocks_harms_nothing_in_a_process_of_its_own(chosen, caplog):
    """The acceptance case: the same agent in the loop is named by the watchdog."""

    async def main():
        async with il.Orchestrator(team(use=chosen.rude, isolation="process"), ":memory:") as orchestrator:
            task = asyncio.get_running_loop().create_task(orchestrator.run({}))
            slowest, last = 0.0, time.monotonic()
            while not task.done():
                await asyncio.sleep(0.01)
                slowest, last = max(slowest, time.monotonic() - last), time.monotonic()
            return await task, slowest, orchestrator._watchdog.blocked

    ended, slowest, blocked = asyncio.run(main())
    assert ended.status == "succeeded"
    assert slowest < 0.5
    assert blocked == {}
    assert not [record for record in caplog.records if "blocked" in record.getMessage()]


def test_an_agent_that_never_returns_is_stopped_at_its_timeout(chosen):
    ended = il.run(team(use=chosen.hang, timeout="300ms"), {})
    assert (ended.status, ended.reason) == ("failed", "s0: timed out after 0.3 s")


def test_no_process_and_no_thread_is_left(chosen, tmp_path):
    before = {*threading.enumerate()}
    il.run(team("s0", "s1", use=chosen.sync), {}, journal=tmp_path / "runs.db")
    left = {*threading.enumerate()} - before
    watchers = [thread for thread in left if thread.name.startswith("asyncio-waitpid")]
    for thread in watchers:
        thread.join(10)  # it ends with the process that it watches, but may do so a little later
    assert [thread.name for thread in left if thread not in watchers or thread.is_alive()] == []


def test_an_engine_that_closes_kills_the_processes_of_its_calls(chosen):
    async def main():
        async with il.Orchestrator(team(use=chosen.hang, timeout="1h"), ":memory:") as orchestrator:
            task = asyncio.get_running_loop().create_task(orchestrator.run({}))
            pool = orchestrator._shell.adapters["ann"]._pool
            await until(lambda: pool._workers)
            [worker] = pool._workers
        with pytest.raises(RunInterrupted):
            await task
        return worker.process.returncode

    assert asyncio.run(main()) == -9


@pytest.mark.parametrize(
    "orchestrator", [il.Orchestrator, functools.partial(FaultyOrchestrator, faults=Faults(), seed=0)]
)
def test_what_the_agents_share_is_closed_once(chosen, monkeypatch, orchestrator):
    closed = []
    close = Workshop.close

    async def closes(workshop):
        closed.append({*workshop.pool._workers})
        await close(workshop)

    async def main():
        async with orchestrator(two, ":memory:") as running:
            return await running.run({})

    monkeypatch.setattr(Workshop, "close", closes)
    agents = [il.Agent(name, use=chosen.sync, scope=il.Scope(["act"], [], [f"out.{name}"])) for name in ("ann", "bob")]
    two = il.Team(agents, il.Plan([il.Step(agent.name, agent=agent.name, action="act") for agent in agents]))
    assert asyncio.run(main()).status == "succeeded"
    [workers] = closed
    assert {worker.process.returncode for worker in workers} == {-9}


# --- journals ---


def test_journals_by_name(tmp_path):
    assert isinstance(open_journal(":memory:"), MemoryJournal)

    async def main():
        for name in (tmp_path / "runs.db", str(tmp_path / "deep" / "runs.db")):
            journal = open_journal(name)
            assert isinstance(journal, SqliteJournal)
            await journal.close()

    asyncio.run(main())
    assert (tmp_path / "deep" / "runs.db").exists()


@pytest.mark.parametrize("url", ["postgresql://localhost/runs", "postgres://x", "clickhouse://host:1/db"])
def test_other_stores_are_refused_clearly(url):
    with pytest.raises(JournalError, match=r"keeps journals in files only; name a file, such as runs.db"):
        open_journal(url)


def test_a_journal_of_the_user_s_own_is_taken_as_it_is():
    async def main():
        journal = MemoryJournal()
        async with il.Orchestrator(team(use=asynchronous), journal) as orchestrator:
            assert orchestrator.journal is journal

    asyncio.run(main())


async def asynchronous(job):
    return {f"out.{job.step}": 1}


@pytest.mark.parametrize("broken", [{"use": None}, {"use": asynchronous, "plan": None}])
def test_a_team_that_cannot_be_run_leaves_nothing_behind(tmp_path, broken):
    threads = threading.active_count()
    plan = broken.pop("plan", il.Plan([il.Step("s0", agent="ann", action="act")]))
    with pytest.raises(TeamError):
        il.Orchestrator(il.Team([il.Agent("ann", scope=scope(), **broken)], plan), tmp_path / "runs.db")
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == threads


# --- the front door ---


def test_run_needs_no_async_code(tmp_path):
    ended = il.run(team(use=asynchronous), {"a": 1}, journal=tmp_path / "runs.db")
    assert (ended.status, ended.context.to_dict()) == ("succeeded", {"a": 1, "out": {"s0": 1}})

    async def again():
        async with il.Orchestrator(team(use=asynchronous), tmp_path / "runs.db") as orchestrator:
            return await orchestrator.resume_run(ended.run_id)

    assert asyncio.run(again()).to_dict() == ended.to_dict()


def test_events_are_told_as_they_become_durable():
    told = []

    async def main():
        def hear(run_id, events):
            told.extend((run_id, type(event).__name__) for event in events)

        async with il.Orchestrator(team(use=asynchronous), ":memory:", on_event=hear) as orchestrator:
            await orchestrator.run({}, run_id="run")

    asyncio.run(main())
    assert told == [("run", name) for name in ("RunStarted", "AttemptStarted", "AttemptCommitted", "RunFinished")]


DESK = """
import interlock as il

@il.agent("triage")
async def triage(job: il.Job) -> il.Reply:
    message = job.view["ticket.metadata.message"]
    assert message == "..."
    return il.Reply(writes={"ticket.category": "billing"}, confidence=0.9)
"""

TEAM = """
agents:
  triage:
    allowed_actions: [classify_ticket]
    context_access: ["ticket.metadata"]
    write_permissions: ["ticket.category"]
    use: desk_of_tests:triage
plan:
  - {id: classify, agent: triage, action: classify_ticket}
"""

PROGRAM = """
import asyncio
import interlock as il

async def main():
    team = il.Team.load("team.yaml")
    async with il.Orchestrator(team, journal="runs.db") as orchestrator:
        run = await orchestrator.run({"ticket": {"metadata": {"message": "..."}}})
        print(run.status, run.context["ticket.category"], run.cost)

asyncio.run(main())
"""

WITHOUT_FILES = """
import json
import interlock as il

async def work(job: il.Job) -> dict:
    return {f"out.{job.step}": job.view.get("seed", 0) + 1}

team = il.Team(
    agents=[il.Agent("worker", use=work, scope=il.Scope(
        allowed_actions=["work"], context_access=["seed", "out.*"], write_permissions=["out.*"]))],
    plan=il.Plan([
        il.Step("s0", agent="worker", action="work", writes=["out.s0"]),
        il.Step("s1", agent="worker", action="work", needs=["s0"], writes=["out.s1"]),
    ]),
)
run = il.run(team, {"seed": 5})
print(json.dumps([run.status, run.context.to_dict(), run.steps]))
"""

SYNC_BESIDE_THE_SCRIPT = """
import interlock as il
from beside import work

if __name__ == "__main__":
    team = il.Team(
        agents=[il.Agent("ann", use=work, scope=il.Scope(["act"], ["*"], ["*"]), retries=0)],
        plan=il.Plan([il.Step("s0", agent="ann", action="act")]),
    )
    run = il.run(team, {})
    print(run.status, run.reason)
"""


def program(folder, source):
    """What a program of a user prints."""
    script = folder / "program.py"
    script.write_text(source)
    ended = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=folder, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout.strip()


def test_a_program_with_a_team_file(tmp_path):
    (tmp_path / "desk_of_tests.py").write_text(DESK)
    (tmp_path / "team.yaml").write_text(TEAM)
    assert program(tmp_path, PROGRAM) == "succeeded billing Cost(usd=0.0, tokens=0, calls=1)"


def test_a_program_without_files(tmp_path):
    status, context, steps = json.loads(program(tmp_path, WITHOUT_FILES))
    assert (status, context) == ("succeeded", {"seed": 5, "out": {"s0": 6, "s1": 6}})
    assert steps == {"s0": "committed", "s1": "committed"}


def test_a_program_with_a_sync_agent_in_a_module_beside_it(tmp_path):
    (tmp_path / "beside.py").write_text("def work(job): return {'out': 1}\n")
    assert program(tmp_path, SYNC_BESIDE_THE_SCRIPT) == "succeeded"


def test_run_is_refused_where_a_loop_runs_already():
    async def main():
        il.run(None, {})

    with pytest.raises(UsageError, match="one is running here; await Orchestrator"):
        asyncio.run(main())


# --- who is told ---


def told_by(tell, journal, name="", at=il.run, **given):
    async def ask(job):
        return il.Reply(ask=il.Question("may I?"))

    ann = il.Agent("ann", use=ask, scope=il.Scope(["act"]))
    team = il.Team([ann], il.Plan([il.Step("s", "ann", "act")]), notify=[tell], name=name)
    return at(team, {}, journal=journal, **given)


def test_the_command_that_answers_finds_the_journal_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = []
    told_by(told.append, "my runs.db")
    assert told[0].text.endswith(f"/s --journal '{tmp_path.resolve()}/my runs.db'")
    told_by(told.append, ":memory:")
    assert told[1].text.endswith("/s")
    assert [message.team for message in told] == ["a team", "a team"]


def test_teams_without_a_name_do_not_tell_each_others_notices(tmp_path):
    def refuse(message):
        raise ValueError("no")

    def look(name):
        """Another team, with a recipient of the same name, on the same journal; what it was told."""
        told, scope = [], il.Scope(["act"])
        plan, phone = il.Plan([il.Step("s", "bob", "act")]), {"use": told.append, "name": "phone"}
        bob = il.Team([il.Agent("bob", use=idle, scope=scope)], plan, notify=[phone], name=name)
        il.run(bob, {}, journal=tmp_path / "runs.db")
        return told

    for name in ("", "desk"):
        told_by({"use": refuse, "name": "phone"}, tmp_path / "runs.db", name)
    journal = SqliteJournal(tmp_path / "runs.db")
    journal._store.db.execute("UPDATE notice SET due_us = 0")
    asyncio.run(journal.close())
    assert look("") == []
    assert [message.title for message in look("desk")] == ["desk: s waits for a person"]


async def idle(job):
    return {}


def test_nobody_is_told_of_what_is_broken_on_purpose():
    def faulty(team, request, journal):
        async def main():
            async with FaultyOrchestrator(team, journal, faults=Faults(()), seed=1) as orchestrator:
                return await orchestrator.run(request)

        return asyncio.run(main())

    told, journal = [], MemoryJournal()
    assert told_by(told.append, journal, at=faulty).status == "parked"
    assert (told, journal.store.notices) == ([], {})
