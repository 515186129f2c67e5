"""Models whose price nobody knows: no budget in US dollars is taken for one that bounds them."""

import sys
from textwrap import dedent

import pytest

import interlock as il
from interlock.errors import TeamError, UnknownPrice
from interlock.team import audit

UNHEARD_OF = "openai:gpt-9-unheard-of"
DAILY = {"day": {"usd": 5, "call": {"usd": 0.1}}}


def agent(name="ann", model=UNHEARD_OF, **more):
    scope = il.Scope(["do"], ["q"], ["a"])
    llm = {"model": model, "instructions": "Answer.", **more.pop("llm", {})}
    return il.Agent(name, llm=llm, scope=scope, timeout="5s", **more)


def function(name="bob", **more):
    return il.Agent(name, use=lambda job: {}, scope=il.Scope(["do"], ["q"], ["a"]), timeout="5s", **more)


def team(*agents, step=None, budget=None):
    return il.Team(agents, il.Plan([il.Step("look", agents[0].name, "do", budget=step)]), budget=budget)


def errors(built):
    return [finding for finding in audit(built).findings if finding.severity == "error"]


def warnings(built):
    return [finding for finding in audit(built).findings if finding.code == "unknown_cost"]


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"budget": {"usd": 1}}, "the budget of the run"),
        ({"budget": DAILY}, "the team's daily budget"),
        ({"step": {"usd": 1, "call": {"usd": 0.1}}}, "the budget of step look"),
        ({"of_agent": {"usd": 1}}, "the budget of agent ann"),
        ({"of_agent": DAILY}, "the daily budget of agent ann"),
    ],
)
def test_a_budget_in_dollars_refuses_a_model_without_a_price(declared, words):
    mine = {"budget": declared.pop("of_agent")} if "of_agent" in declared else {}
    (found,) = errors(team(agent(**mine), **declared))
    assert (found.code, found.agents) == ("unknown_price", ("ann",))
    assert found.message == f"agents.ann.llm.model: what {UNHEARD_OF} costs isn't known, and {words} is in dollars"
    priced = agent(llm={"price": {"input": 1.0, "output": 2.0}}, **mine)
    assert not errors(team(priced, **declared))


def test_other_budgets_and_other_agents_do_not():
    assert not errors(team(agent(), budget={"tokens": 5, "calls": 1, "day": {"calls": 3}}))
    apart = il.Agent("idle", llm={"model": UNHEARD_OF}, scope=il.Scope(["do"], ["q"], ["b"]), timeout="5s")
    assert not errors(team(function(), apart, budget={"usd": 1}))  # it has no step
    assert not errors(team(agent(model="openai:gpt-5-mini"), budget={"usd": 1}))
    assert not errors(il.Team([agent(budget={"usd": 1})]))  # which can't be run


def test_a_fallback_is_bounded_by_the_budgets_of_the_step_that_it_stands_in_for():
    built = team(agent(model="openai:gpt-5-mini", fallback="eve"), agent("eve"), step={"usd": 1})
    assert [(found.code, found.agents) for found in errors(built)] == [("unknown_price", ("eve",))]


def test_a_team_file_is_refused_with_file_and_line(tmp_path):
    file = tmp_path / "team.yaml"
    file.write_text(
        dedent(
            """\
            agents:
              ann:
                allowed_actions: [look]
                write_permissions: [a]
                llm:
                  instructions: Answer.
                  model: local:smollm2
            plan: [{id: look, agent: ann, action: look}]
            budget: {usd: 1}
            """
        )
    )
    with pytest.raises(UnknownPrice) as refused:
        il.Team.load(file)
    assert (refused.value.file, refused.value.line) == (str(file), 7)
    assert "if it costs you nothing: price: {input: 0, output: 0}" in refused.value.fix
    assert [(found.code, found.line) for found in errors(file)] == [("unknown_price", 7)]
    file.write_text(file.read_text().replace("Answer.", "Answer.\n      price: {input: 0, output: 0}"))
    assert il.Team.load(file).rules


def test_a_team_of_python_is_refused_before_it_runs(tmp_path):
    built = team(agent(llm={"key": "NO_MATTER"}), budget={"usd": 1})
    with pytest.raises(TeamError, match="gpt-9-unheard-of costs isn't known"):
        il.Orchestrator(built, tmp_path / "runs.db")
    assert not [*tmp_path.iterdir()]


def test_a_run_of_such_a_team_can_still_be_read():
    assert il.Team.of_document(team(agent(), budget={"usd": 1}).document).rules


@pytest.mark.parametrize("model", ["openai:gpt-5-mini", UNHEARD_OF])
def test_without_the_price_list_the_message_names_the_extra(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.setattr("interlock.team.costs.has_list", lambda: False)
    (found,) = errors(team(agent(model=model), budget={"usd": 1}))
    assert "pip install 'interlock[prices]'" in found.fix


def test_with_it_the_message_does_not():
    (found,) = errors(team(agent(), budget={"usd": 1}))
    assert "interlock[" not in found.fix
    assert "price: {input: 0.15, output: 0.60}" in found.fix


# --- agents that tell what they cost, or don't ---


def test_who_may_not_tell_what_it_costs_is_a_warning():
    (found,) = warnings(team(function(fallback="eve"), function("eve"), budget={"usd": 1}))
    assert (found.severity, found.agents) == ("warning", ("bob", "eve"))
    assert (
        "the budget of the run bounds bob, eve in dollars only as far as it is told what a call costs" in found.message
    )


@pytest.mark.parametrize("budget", [{"usd": 1, "call": {"usd": 0.1}}, DAILY, {"calls": 5}])
def test_a_budget_that_reserves_dollars_for_each_call_bounds_it_all_the_same(budget):
    assert not warnings(team(function(), budget=budget))


def test_so_does_a_price_of_its_own():
    scope = il.Scope(["do"], ["q"], ["a"])
    declared = {"use": "module:graph", "price": {"input": 1.0, "output": 1.0}}
    priced = il.Agent("a", langgraph=declared, scope=scope, timeout="5s")
    plain = il.Agent("a", langgraph="module:graph", scope=scope, timeout="5s")
    assert not warnings(team(priced, budget={"usd": 1}))
    assert [found.agents for found in warnings(team(plain, budget={"usd": 1}))] == [("a",)]
    assert not warnings(team(agent(model="openai:gpt-5-mini"), budget={"usd": 1}))
