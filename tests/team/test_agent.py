"""Agents and teams declared in Python."""

import functools
import subprocess
import sys

import pytest

import interlock as il
from interlock.core.policy import Policy
from interlock.errors import OwnershipError, PlanError, RaceError, TeamError
from interlock.team import Agent, Team, agent

SCOPE = il.Scope(allowed_actions=["work"], context_access=["seed"], write_permissions=["out"])


async def work(job):
    return {}


def refusal(build):
    with pytest.raises(TeamError) as caught:
        build()
    return caught.value.sentence


# --- agents ---


def test_effort_and_timeout_make_the_policy():
    assert Agent("a").policy == Policy(timeout_ms=5_000, retries=2, backoff_ms=200)
    assert Agent("a", effort="complex").policy.timeout_ms == 30_000
    assert Agent("a", effort="complex", timeout="1.5s", retries=0, backoff="10ms").policy == Policy(1_500, 0, 10)


def test_the_role_is_the_agent_without_its_code():
    role = Agent("a", use=work, scope=SCOPE, fallback="b", schema={"required": ["out"]}, version="2").role
    assert (role.scope, role.fallback, role.schema, role.version) == (SCOPE, "b", {"required": ["out"]}, "2")


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"use": "agents"}, "agents.a.use is 'agents', not module:function"),
        ({"use": 7}, "agents.a.use is the number 7"),
        ({"use": dict}, "uses the class builtins:dict, not a function"),
        ({"scope": {"allowed_actions": []}}, "agents.a.scope is a dict, not a Scope"),
        ({"scope": il.Scope(allowed_actions=[""])}, "agents.a.allowed_actions[0] is ''"),
        ({"effort": "hard"}, "agents.a.effort is 'hard', not one of simple, complex"),
        ({"timeout": 2}, "agents.a.timeout is the number 2, not a duration"),
        ({"retries": "2"}, "agents.a.retries is '2', not a whole number"),
        ({"backoff": ""}, "agents.a.backoff is '', not a duration"),
        ({"fallback": work}, "agents.a.fallback is a function, not a name"),
        ({"schema": {"requires": []}}, "agents.a.schema: the schema of the schema uses requires"),
        ({"isolation": "container"}, "agents.a.isolation is 'container'"),
        *(
            (
                {kind: "m:name", "isolation": "process"},
                f"agents.a.isolation says nothing of an agent that is declared by {kind}",
            )
            for kind in ("langgraph", "crewai", "autogen", "openai_agents", "swarm")
        ),
        ({"llm": {"model": "openai:x"}, "isolation": "thread"}, "declared by llm"),
        ({"command": ["cat"], "isolation": "process"}, "declared by command"),
        ({"concurrency": 0}, "agents.a.concurrency is the number 0"),
        ({"version": 2}, "agents.a.version is the number 2, not a text"),
    ],
)
def test_arguments_are_checked_early(given, part):
    assert part in refusal(lambda: Agent("a", **given))


def test_a_name_is_an_id():
    assert "name is 'a b', not a name" in refusal(lambda: Agent("a b"))
    assert "name is the number 1" in refusal(lambda: Agent(1))


def test_all_that_is_wrong_with_an_agent_is_told_at_once():
    with pytest.raises(TeamError) as caught:
        Agent("a", effort="hard", timeout="soon")
    assert [problem.place[-1] for problem in caught.value.problems] == ["effort", "timeout"]


def test_a_scope_wants_lists():
    assert "context_access is not a list" in refusal(lambda: il.Scope(context_access="seed"))


# --- the decorator ---


def test_the_decorator_returns_the_function_itself():
    assert agent("a")(work) is work
    del work.__interlock_agent__


def test_a_decorated_function_with_a_scope_is_an_agent():
    @agent("triage", scope=SCOPE, retries=1)
    def triage(job):
        return {}

    team = Team(agents=[triage])
    assert team.agents["triage"].use is triage
    assert team.agents["triage"].policy.retries == 1


def test_a_decorated_function_without_a_scope_is_none():
    @agent("triage")
    def triage(job):
        return {}

    assert "agent triage has no scope" in refusal(lambda: Team(agents=[triage]))
    assert "is no agent" in refusal(lambda: Team(agents=[work]))


def test_a_function_belongs_to_the_agent_that_it_is_decorated_as():
    @agent("triage", retries=1)
    def triage(job):
        return {}

    assert Agent("triage", use=triage, retries=1).use is triage
    assert "agent other uses" in (sentence := refusal(lambda: Agent("other", use=triage)))
    assert "decorated as agent triage" in sentence
    assert "its retries is 2, and 1 in its decorator" in refusal(lambda: Agent("triage", use=triage))
    assert "decorated as agent triage" in refusal(lambda: agent("other")(triage))


def test_the_decorator_checks_what_it_is_given():
    assert "no argument timout; did you mean timeout?" in refusal(lambda: agent("a", timout="2s"))
    assert "timeout is 'soon'" in refusal(lambda: agent("a", timeout="soon")(work))
    assert "given no name" in refusal(lambda: agent(work))
    assert "a builtin_function_or_method can't be decorated" in refusal(lambda: agent("a")(len))


# --- teams ---


def test_the_documented_team_without_files():
    async def work(job):
        return {f"out.{job.step}": job.view.get("seed", 0) + 1}

    team = il.Team(
        agents=[
            il.Agent(
                "worker",
                use=work,
                scope=il.Scope(allowed_actions=["work"], context_access=["seed", "out.*"], write_permissions=["out.*"]),
            )
        ],
        plan=il.Plan(
            [
                il.Step("s0", agent="worker", action="work", writes=["out.s0"]),
                il.Step("s1", agent="worker", action="work", needs=["s0"], writes=["out.s1"]),
            ]
        ),
    )
    assert team.rules is team.rules
    assert (team.source, team.folder, team.line(("agents", "worker"))) == ("", None, 0)
    assert repr(team) == "<Team without a name: worker>"


def test_ownership_is_proved_without_a_plan():
    with pytest.raises(OwnershipError) as caught:
        Team([Agent("a", scope=SCOPE), Agent("b", scope=SCOPE)])
    assert (caught.value.agents, caught.value.paths) == (("a", "b"), ("out",))


def test_owners_may_share_by_reducer_succession_or_fallback():
    agents = [Agent("a", scope=SCOPE), Agent("b", scope=SCOPE)]
    Team(agents, reducers={"out": "append"})
    Team(agents, succession={"out": ["a", "b"]})
    Team([Agent("a", scope=SCOPE, fallback="b"), Agent("b", scope=SCOPE)])


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"agents": []}, "the team has no agents"),
        ({"agents": Agent("a")}, "the agents are a Agent, not a list"),
        ({"agents": {"a": Agent("a")}}, "the agents are a dict, not a list"),
        ({"agents": [Agent("a"), Agent("a", retries=1)]}, "two agents are called a"),
        ({"agents": [Agent("a", fallback="b")]}, "the fallback of a is b, which is no agent"),
        ({"reducers": {"x": "max"}}, "reducers.x is 'max', not one of"),
        ({"succession": {"x": "a"}}, "succession.x is 'a', not a list"),
        ({"succession": {"x": ["a", "b"]}}, "the succession of x names b, which is no agent"),
        ({"plan": [il.Step("s", "a", "work")]}, "the plan is a list, not a Plan"),
        ({"limits": il.Limits(steps_max=0)}, "limits.steps_max is the number 0, not a whole number from 1"),
        ({"name": 7}, "name is the number 7, not a text"),
    ],
)
def test_a_teams_arguments_are_checked_early(given, part):
    assert part in refusal(lambda: Team(**{"agents": [Agent("a")], **given}))


def test_a_plan_is_proved_by_the_rules():
    plan = il.Plan([il.Step("s", "a", "work"), il.Step("t", "a", "work")])
    team = Team([Agent("a", scope=SCOPE)], plan)
    with pytest.raises(RaceError) as caught:
        _ = team.rules
    assert (caught.value.agents, caught.value.place) == (("a",), ("plan", "t", "writes"))
    with pytest.raises(PlanError, match="there is no agent a"):
        _ = Team([Agent("b")], plan).rules


def test_a_callable_object_can_be_the_code():
    class Worker:
        def __call__(self, job):
            return {}

    assert Agent("a", use=Worker()).use is not None
    assert Agent("b", use=functools.partial(work)).use is not None


def test_a_team_of_python_pays_nothing_for_the_loader():
    program = "import sys, interlock.team; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("number", [10**5_000, -(10**5_000)], ids=["positive", "negative"])
def test_a_number_of_thousands_of_digits_is_refused_without_writing_it_out(number):
    with pytest.raises(TeamError, match="retries is a number too long to show, not a whole number from 0 to 100"):
        Agent("a", scope=SCOPE, retries=number)
