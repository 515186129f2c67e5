"""Teams within teams: found, bounded, hashed with what they hold, and what is wrong in one is told as of its file."""

import json

import pytest

import interlock as il
from interlock.core.nested import DEPTH_MAX, Nested
from interlock.core.policy import Policy
from interlock.errors import TeamError
from interlock.team import Team, audit, difference, team_file_schema
from interlock.team.nesting import TEAMS_MAX

CHILD = """\
name: research
agents:
  finder:
    allowed_actions: [find]
    context_access: [question]
    write_permissions: [answer]
    use: finding:find
plan:
  - {id: find, agent: finder, action: find}
"""

PARENT = """\
agents:
  research:
    team: research/team.yaml
    allowed_actions: [research]
    context_access: [ticket]
    write_permissions: [ticket.answer]
    inputs: {question: ticket.text}
    outputs: {ticket.answer: answer}
plan:
  - {id: research, agent: research, action: research}
"""


@pytest.fixture
def write(tmp_path):
    def write(**files):
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "team.yaml"

    return write


def refused(path):
    with pytest.raises(TeamError) as refusal:
        Team.load(path)
    return refusal.value


def nest(file, **more):
    """A team file with one agent that is a team."""
    agent = {"team": file, "allowed_actions": ["act"], "context_access": ["x"], "write_permissions": ["y"]} | more
    return json.dumps({"agents": {"inner": agent}, "plan": [{"id": "s", "agent": "inner", "action": "act"}]})


def test_a_team_file_names_another_and_says_what_crosses_the_border(write):
    team = Team.load(write(team=PARENT, research__team=CHILD))
    agent = team.agents["research"]
    inner = team.nested["research"]
    assert (agent.kind, inner.name, inner.folder.name) == ("team", "research", "research")
    assert team.rules.roles["research"].nested == Nested(
        "research", inner.hash, {"question": "ticket.text"}, {"ticket.answer": "answer"}
    )
    assert team.teams == {team.hash: team, inner.hash: inner}


def test_a_nested_team_has_no_timeout_and_no_retries_unless_they_are_declared(write):
    team = Team.load(write(team=PARENT, research__team=CHILD))
    assert team.agents["research"].policy == Policy(timeout_ms=0, retries=0)
    path = write(team=PARENT.replace("team: r", "timeout: 1h\n    retries: 1\n    team: r"))
    assert Team.load(path).agents["research"].policy == Policy(timeout_ms=3_600_000, retries=1)


def test_a_folder_names_the_team_file_in_it(write):
    team = Team.load(write(team=PARENT.replace("research/team.yaml", "research"), research__team=CHILD))
    assert team.nested["research"].name == "research"


def test_in_python_a_team_is_what_an_agent_uses():
    async def find(job):
        return {"answer": job.view["question"]}

    scope = il.Scope(["find"], ["question"], ["answer"])
    child = il.Team([il.Agent("finder", use=find, scope=scope)], il.Plan([il.Step("find", "finder", "find")]))
    outer = il.Scope(["research"], ["ticket"], ["ticket.answer"])
    given = {"inputs": {"question": "ticket.text"}, "outputs": {"ticket.answer": "answer"}}
    agent = il.Agent("research", use=child, scope=outer, **given)
    team = il.Team([agent], il.Plan([il.Step("s", "research", "research")]))
    assert (agent.use, agent.team, agent.kind) == (None, child, "team")
    assert team.nested == {"research": child}
    assert team.rules.roles["research"].nested == Nested("research", child.hash, **given)


# --- the hash ----------------------------------------------------------------------------------------------------


def test_the_hash_of_a_team_covers_the_teams_in_it_and_a_difference_names_what_changed_there(write):
    before = Team.load(write(team=PARENT, research__team=CHILD))
    after = Team.load(write(research__team=CHILD.replace("use:", "retries: 5\n    use:")))
    assert before.hash != after.hash
    assert difference(before.document, after.document) == ["agents.research.team.agents.finder.retries: 2 -> 5"]
    replanned = Team.load(write(research__team=CHILD.replace("id: find", "id: seek")))
    assert "agents.research.team.plan.seek: added" in difference(before.document, replanned.document)


def test_a_document_holds_the_whole_team_and_finds_the_code_where_another_version_has_it(write):
    team = Team.load(write(team=PARENT, research__team=CHILD))
    again = Team.of_document(team.document)
    assert again.hash == team.hash
    assert again.nested["research"].folder is None
    assert again.placed_like(team).nested["research"].folder == team.nested["research"].folder


def test_a_version_that_has_the_agent_no_longer_tells_nothing_of_its_place(write):
    team = Team.load(write(team=PARENT, research__team=CHILD))
    other = Team.load(
        write(team=PARENT.replace("  research:\n", "  other:\n").replace("agent: research", "agent: other"))
    )
    assert Team.of_document(team.document).placed_like(other).nested["research"].folder is None


# --- circles and bounds ------------------------------------------------------------------------------------------


def test_a_team_within_itself_is_refused_with_the_circle(write):
    error = refused(write(team=nest("a/team.yaml"), a__team=nest("../b.yaml"), b=nest("a/team.yaml")))
    [problem] = error.problems
    assert "a team can't be nested in itself: a/team.yaml > b.yaml > a/team.yaml" in str(problem)
    assert str(problem).startswith(str(write().parent / "a/../b.yaml") + ":1: agents.inner.team: ")


def test_a_team_that_is_its_own_agent_is_refused(write):
    assert "nested in itself: team.yaml > team.yaml" in str(refused(write(team=nest("team.yaml"))))


def test_teams_are_nested_to_a_bounded_depth(write):
    files = {f"t{n}": nest(f"t{n + 1}.yaml") for n in range(DEPTH_MAX - 1)}
    last = f"t{DEPTH_MAX - 1}"
    path = write(team=nest("t0.yaml"), **files, **{last: CHILD})
    assert Team.load(path).family.depth == DEPTH_MAX
    write(**{last: nest("leaf.yaml"), "leaf": CHILD})
    assert "more than 8 teams are nested in each other" in str(refused(path))


def test_a_file_that_many_agents_name_is_read_once_and_counted_each_time(write):
    def pair(file):
        agents = {
            name: {"team": file, "allowed_actions": ["act"], "context_access": ["x"], "write_permissions": [name]}
            for name in ("one", "two")
        }
        plan = [{"id": name, "agent": name, "action": "act"} for name in agents]
        return json.dumps({"agents": agents, "plan": plan})

    path = write(team=pair("a.yaml"), a=pair("b.yaml"), b=CHILD)
    team = Team.load(path)
    assert team.nested["one"] is team.nested["two"]
    assert (team.family.teams, team.family.depth, len(team.teams)) == (7, 2, 3)
    chain = {f"c{n}": pair(f"c{n + 1}.yaml") for n in range(6)}
    error = refused(write(team=pair("c0.yaml"), **chain, c6=CHILD))
    assert f"more than {TEAMS_MAX} teams are nested here, counted as often as they are named" in str(error)


def test_so_many_files_are_not_even_read(write):
    agents = {
        f"a{n}": {"team": f"missing{n}.yaml", "allowed_actions": ["act"], "write_permissions": [f"y{n}"]}
        for n in range(TEAMS_MAX + 1)
    }
    error = refused(write(team=json.dumps({"agents": agents})))
    assert sum("more than 100 teams are nested here" in str(problem) for problem in error.problems) == 1


# --- what is wrong -----------------------------------------------------------------------------------------------


def test_what_is_wrong_in_the_file_of_a_nested_team_is_told_as_of_there(write):
    path = write(team=PARENT, research__team=CHILD.replace("agent: finder", "agent: findr"))
    error = refused(path)
    assert str(error) == (
        f"{path.parent / 'research/team.yaml'}:9: step find: there is no agent findr; did you mean finder?"
    )
    finding = next(one for one in audit(path).findings if one.severity == "error")
    assert (finding.line, finding.message) == (0, str(error))


def test_a_nested_file_that_is_none_is_told_where_it_is_named(write):
    path = write(team=PARENT)
    missing = path.parent / "research/team.yaml"
    assert (
        str(refused(path)) == f"{path}:3: agents.research.team: {missing}: it can't be read: No such file or directory"
    )
    path = write(team=PARENT.replace("research/team.yaml", '"a\\0b"'))
    assert str(refused(path)).startswith(f"{path}:3: agents.research.team: 'a\\x00b' names no file")


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("team: research/team.yaml", "team: 3"), 3, "is the number 3, not the path of a team file"),
        (("team: research/team.yaml", 'team: ""'), 3, "is '', not the path of a team file"),
        (("    inputs", "    isolation: task\n    inputs"), 7, "says nothing of an agent that is declared by team"),
        (("    inputs", "    breaker: {}\n    inputs"), 7, "breaker says nothing of a team: it is said of calls"),
        (("    inputs", "    rate: {requests: 1/s}\n    inputs"), 7, "rate says nothing of a team"),
        (("    inputs", "    effort: simple\n    inputs"), 7, "effort says nothing of a team"),
        (("    inputs", "    concurrency: 2\n    inputs"), 7, "concurrency says nothing of a team"),
        (("    inputs", "    effects: immediate\n    inputs"), 7, "effects says nothing of a team"),
        (("    inputs", '    version: "2"\n    inputs'), 7, "version says nothing of a team"),
        (("    inputs", "    budget: {usd: 1, call: {usd: 1}}\n    inputs"), 7, "budget.call says nothing of a team"),
        (("    inputs", "    budget: {day: {usd: 1}}\n    inputs"), 7, "budget.day says nothing of a team"),
        (("team: research/team.yaml", "use: a:b"), 7, "inputs says nothing of an agent that is no team"),
        (("question: ticket.text", "question: 3"), 7, "not a dotted path"),
        (("question: ticket.text", "question: ticket.*"), 7, "it has a *"),
        (("question: ticket.text", "question: customer"), 7, "is customer, which research may not read"),
        (("ticket.answer: answer", "ticket.category: answer"), 8, "the output ticket.category, which research may not"),
        (("question: ticket.text", "a: ticket.text, a.b: ticket"), 7, "fill a.b, which is inside another of their"),
    ],
)
def test_what_can_not_be_said_of_a_nested_team_is_refused(write, change, line, said):
    path = write(team=PARENT.replace(*change), research__team=CHILD)
    problem = refused(path).problems[0]
    assert said in str(problem)
    assert str(problem).startswith(f"{path}:{line}: ")


def test_a_nested_team_needs_a_plan(write):
    error = refused(write(team=PARENT, research__team=CHILD.partition("plan:")[0]))
    assert "the team nested in research has no plan: it can't be run" in str(error)


def test_a_nested_team_has_one_plan(write):
    several = CHILD.replace("plan:\n", "planner: {rules: [{plan: only}]}\nplans:\n  only:\n  ").replace(
        "\n    - {id", "\n  - {id"
    )
    error = refused(write(team=PARENT, research__team=several))
    assert "has no one plan, but several of which a request chooses" in str(error)


def test_in_python_a_file_is_no_team():
    with pytest.raises(TeamError, match="the team of agent a is the path of a file; load it"):
        il.Agent("a", team="team.yaml")


def test_a_budget_of_the_run_needs_a_share_for_each_nested_team(write):
    error = refused(write(team=PARENT + "budget: {usd: 1}\n", research__team=CHILD))
    assert "the budget of the run bounds usd, and no budget says how much of that the team research may have" in str(
        error
    )
    assert ":2: " in str(error)
    shared = PARENT.replace("    inputs", "    budget: {usd: 0.5}\n    inputs") + "budget: {usd: 1}\n"
    assert Team.load(write(team=shared)).rules


# --- around it ---------------------------------------------------------------------------------------------------


def test_the_audit_of_a_nested_team_doesn_t_speak_of_calls(write):
    found = {finding.code: finding for finding in audit(write(team=PARENT, research__team=CHILD)).findings}
    assert not {"default_timeout", "single_try", "no_code", "unknown_cost"} & found.keys()


def border_findings(path):
    codes = {"unfed_input", "unwritten_output"}
    return [(one.code, one.severity, one.line, one.message) for one in audit(path).findings if one.code in codes]


def test_a_border_that_nothing_is_wrong_with_has_no_findings(write):
    assert border_findings(write(team=PARENT, research__team=CHILD)) == []
    as_it_is = PARENT.replace("    inputs: {question: ticket.text}\n", "").replace("[ticket]", "[question]")
    assert border_findings(write(team=as_it_is)) == []


def test_what_a_nested_team_reads_and_nobody_gives_it_is_found(write):
    path = write(team=PARENT.replace("question:", "questoin:"), research__team=CHILD)
    message = "the team nested in research reads question, which nobody there writes and no input is"
    assert border_findings(path) == [("unfed_input", "warning", 7, message)]
    path = write(team=PARENT.replace("    inputs: {question: ticket.text}\n", ""))
    assert [finding[0] for finding in border_findings(path)] == ["unfed_input"]
    deciding = CHILD.replace("action: find}", "action: find, when: {path: urgent, op: exists}}")
    [finding] = border_findings(write(team=PARENT, research__team=deciding))
    assert "reads urgent" in finding[3]


def test_what_nobody_in_a_nested_team_writes_and_is_to_come_out_is_found(write):
    path = write(team=PARENT.replace(": answer}", ": anwser}"), research__team=CHILD)
    message = "anwser is to come out of the team nested in research, and nobody there writes it"
    assert border_findings(path) == [("unwritten_output", "warning", 8, message)]
    same_paths = PARENT.replace("    outputs: {ticket.answer: answer}\n", "")
    [finding] = border_findings(write(team=same_paths))
    assert "writes nothing that research may write: nothing comes out" in finding[3]
    awaited = CHILD + "  - {id: hear, await_event: call, deadline: 1d, writes: [anwser]}\n"
    assert border_findings(write(team=PARENT.replace(": answer}", ": anwser}"), research__team=awaited)) == []


def test_editors_know_the_keys():
    agent = team_file_schema()["properties"]["agents"]["additionalProperties"]
    assert agent["properties"]["team"]["type"] == "string"
    assert agent["properties"]["outputs"]["additionalProperties"]["type"] == "string"
