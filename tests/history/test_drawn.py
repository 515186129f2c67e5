"""What has drawn on a budget that a step needs more of."""

import pytest
from msgspec import Raw

import interlock as il
from interlock.core import events as e
from interlock.core.above import Above
from interlock.core.budget import DAY_US, Amounts, BudgetPolicy, Ledger
from interlock.core.gate import AtGate, Gate, GatePolicy, Outcome
from interlock.core.job import Reply, Usage
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.history import attempts, shortage
from tests.core.test_settlement import decide
from tests.core.transcripts import ALL, Transcript, step

ASKS = BudgetPolicy(usd=100_000, calls=3, call_usd=40_000, when_spent="ask")


def told(gate, *, budget=None, of_agent=None, day=None, of_step=None, usage=(900, 100, 0.035)):
    """A run whose step c is held after a and b."""
    ann = Role(ALL, Policy(retries=0), budget=of_agent, gate=GatePolicy(budget=day))
    declared = step("c", needs=["b"], writes=["z"], budget=of_step)
    run = Transcript(
        step("a", writes=["x"]), step("b", needs=["a"], writes=["y"]), declared, roles={"ann": ann}, budget=budget
    )
    run.begin()
    for name, path in (("a", "x"), ("b", "y")):
        run.reply(name, Reply(writes={path: 1}, usage=Usage(*usage)))
    run.hold("c", gate)
    return shortage(run.machine, "c", attempts([e.decode(line) for line in run.journal]))


def test_what_a_run_has_consumed_is_told_by_step_and_agent():
    found = told("run_budget", budget=ASKS)
    assert found.to_dict() == {
        "gate": "run_budget",
        "whose": "",
        "daily": False,
        "limits": {"usd": 0.1, "calls": 3},
        "spent": {"usd": 0.07, "tokens": 2_000, "calls": 2},
        "call": {"usd": 0.04},
        "by": [
            {"step": "a", "agent": "ann", "calls": 1, "tokens": 1_000, "usd": 0.035},
            {"step": "b", "agent": "ann", "calls": 1, "tokens": 1_000, "usd": 0.035},
        ],
    }
    assert (found.words, found.suggested) == ("the budget of the run", {"usd": 0.04})


def test_where_calls_have_exceeded_a_budget_that_is_made_up_for():
    found = told("run_budget", budget=BudgetPolicy(usd=60_000, call_usd=20_000, when_spent="ask"))
    assert found.suggested == {"usd": pytest.approx(0.03)}


@pytest.mark.parametrize(
    ("gate", "given", "words", "by", "suggested"),
    [
        (
            "agent_budget",
            {"of_agent": BudgetPolicy(calls=2, when_spent="ask")},
            "the budget of agent ann",
            2,
            {"calls": 1},
        ),
        ("step_budget", {"of_step": {"usd": 0, "when_spent": "ask"}}, "the budget of step c", 0, {"usd": 1}),
        (
            "run_budget",
            {"budget": BudgetPolicy(tokens=2_000, when_spent="ask")},
            "the budget of the run",
            2,
            {"tokens": 200},
        ),
        (
            "budget",
            {"day": BudgetPolicy(calls=20, daily=True, when_spent="ask")},
            "the daily budget of agent ann",
            2,
            {"calls": 2},
        ),
    ],
)
def test_which_budget_it_is_and_what_might_be_approved(gate, given, words, by, suggested):
    found = told(gate, **given)
    assert (found.words, len(found.by), found.suggested) == (words, by, suggested)
    assert (found.spent is None) == (gate == "budget")


def test_the_day_of_a_team_has_its_name():
    run = Transcript(step("a"), gate=GatePolicy(budget=BudgetPolicy(calls=1, daily=True, when_spent="ask")))
    run.begin()
    run.hold("a", "team_budget")
    assert shortage(run.machine, "a", []).words == "the team's daily budget"


def test_the_day_of_a_team_above_is_told_with_all_that_this_run_has_drawn():
    policy = BudgetPolicy(calls=20, daily=True, when_spent="ask")
    run = Transcript(step("a"), step("b", needs=["a"]))
    parent = e.Parent("top", "s", 1, above=(Above("outer/", None, policy),))
    run.say(e.RunStarted(0, Raw(b"{}"), "team", "plan", parent=parent))
    run.reply("a", x=1)
    run.hold("b", "above_1_budget")
    gate = Gate(ledger=Ledger(spent=Amounts(calls=23)))
    found = shortage(run.machine, "b", attempts([*map(e.decode, run.journal)]), AtGate(gate, []), 10)
    assert (found.words, found.whose) == ("the daily budget of team outer", "team outer")
    assert ([(one.step, one.calls) for one in found.by], found.spent["calls"]) == ([("a", 1)], 23)


def test_its_share_is_told_with_all_that_this_run_has_drawn():
    run = Transcript(step("a"), step("b", needs=["a"]))
    run.say(e.RunStarted(0, Raw(b"{}"), "team", "plan", parent=e.Parent("top", "s", 1, calls=1, when_spent="ask")))
    run.reply("a", x=1)
    run.say(run.machine.held(run.calls["b"], run.tick()))
    found = shortage(run.machine, "b", attempts([*map(e.decode, run.journal)]))
    assert (found.words, found.limits) == ("its share of what the run above may consume", {"calls": 1})
    assert ([(one.step, one.calls) for one in found.by], found.spent["calls"]) == ([("a", 1)], 1)


@pytest.mark.parametrize("whose", ["agent", "team"])
def test_a_daily_budget_is_told_as_its_gate_has_it_with_what_was_approved_today(whose):
    """Not with what was approved of the budget of the run."""
    day = GatePolicy(budget=BudgetPolicy(calls=20, daily=True, when_spent="ask"))
    mine = {"roles": {"ann": Role(ALL, Policy(retries=0), gate=day)}} if whose == "agent" else {"gate": day}
    run = Transcript(step("a"), budget=BudgetPolicy(calls=0, when_spent="ask"), **mine)
    run.begin()
    run.say(run.machine.held(run.calls["a"], run.tick()))
    decide(run, "a", "approve", more={"calls": 7})
    run.hold("a", "budget" if whose == "agent" else "team_budget")
    gate = Gate(ledger=Ledger(spent=Amounts(calls=23), raised=Amounts(calls=2)))
    told = [Outcome("", 5, "raised", more=Amounts(calls=1))]
    found = shortage(run.machine, "a", [], AtGate(gate, told), 10)
    assert (found.limits, found.spent["calls"], found.suggested) == ({"calls": 23}, 23, {"calls": 2})
    assert shortage(run.machine, "a", []).limits == {"calls": 20}
    another = shortage(run.machine, "a", [], AtGate(gate, []), DAY_US)
    assert (another.limits, another.spent["calls"], another.suggested) == ({"calls": 20}, 0, {"calls": 2})


def test_an_unknown_price_is_none():
    found = told("run_budget", budget=ASKS, usage=(900, 100))
    assert [one.usd for one in found.by] == [None, None]


def test_what_an_agent_asks_needs_no_budget():
    run = Transcript(step("a"))
    run.begin()
    run.ask("a")
    assert shortage(run.machine, "a", []) is None
    assert il.Question("Really?") == run.machine.questions[1].question
