"""What an account holds of budgets that people raise, each shown refusing."""

import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core.budget import DAY_US, BudgetPolicy
from interlock.core.gate import GatePolicy
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.testing.simulation.account.budgets import BudgetAccount, wrong_with
from interlock.testing.simulation.gates import Gates

from .test_account import ALL, HOUR, SECOND_US, Telling, broken, step

ASKS = BudgetPolicy(calls=1, when_spent="ask")
DAILY = BudgetPolicy(calls=1, daily=True, when_spent="ask")
EVE = "person:eve"


def roles(budget=ASKS, *, backed=False, **more):
    ann = Role(ALL, Policy(retries=0), budget=budget, fallback="bob" if backed else None, **more)
    return {"ann": ann, "bob": Role(ALL, Policy(retries=0))} if backed else {"ann": ann}


def held(*steps, gate="agent_budget", **given):
    """A run whose budget was spent by its step a, and whose step b is held."""
    telling = Telling(step("a"), *(steps or (step("b"),)), roles=roles(**given)).begin().do("a")
    telling.attempts["b"] = 0
    return telling.hear(e.CallHeld, "b", "ann", gate, "it is spent")


def asking(**given):
    return held(**given).hear(e.StepEscalated, "b", 0, "it is spent", budget="agent_budget").park()


def raised(telling, step_id="b", by=EVE, budget="agent_budget", whose="agent ann", **more):
    return telling.hear(e.BudgetRaised, step_id, 0, by, budget, whose, **(more or {"calls": 1}))


def test_what_was_approved_may_be_consumed_and_no_more():
    telling = raised(asking()).do("b")
    assert telling.states == {"a": "committed", "b": "committed"}
    with broken("gates", "b is called, but agent ann has no calls left"):
        raised(asking()).start("b").lose("b").start("b", again=True)


def test_a_raise_is_not_given_twice():
    with broken("people", "b goes on with more, but it is ready"):
        raised(raised(asking()))


def test_a_step_that_asks_for_more_is_not_called_before():
    with broken("people", "b is called before a person has raised its agent_budget"):
        held().start("b", attempt=1)
    with broken("once", "b is called again although it is escalated"):
        held().hear(e.StepEscalated, "b", 0, "it is spent", budget="agent_budget").start("b", attempt=1)


def test_it_asks_for_what_it_was_held_by():
    with broken("people", "b asks for its run_budget, not its agent_budget"):
        held().hear(e.StepEscalated, "b", 0, "it is spent", budget="run_budget")
    with broken("people", "b asks for its , not its agent_budget"):
        held().hear(e.StepEscalated, "b", 0, "it is spent")
    with broken("people", "b asks for its agent_budget, not its "):
        Telling(step("b"), roles=roles()).begin().hear(e.StepEscalated, "b", 0, "why", budget="agent_budget")


def test_its_question_has_the_deadline_of_its_step():
    late = held(step("b", escalate={"deadline": "1h", "then": "fallback"}), backed=True)
    late.hear(e.StepEscalated, "b", 0, "it is spent", late.at_us + SECOND_US + HOUR, "agent_budget").park()
    late.hear(e.QuestionExpired, "b", 0, "fallback", after=HOUR).start("b", attempt=1, agent="bob").commit("b").finish()
    with broken("people", "the question of b is open until 5"):
        held().hear(e.StepEscalated, "b", 0, "it is spent", 5, "agent_budget")


def test_a_rejected_step_is_done_by_its_fallback_or_dies():
    asking(backed=True).decide("b", "reject").start("b", attempt=1, agent="bob").commit("b").finish()
    asking().decide("b", "reject").bury("b").finish("failed")
    with broken("attempts", "b is given up with attempts left"):
        asking(backed=True).decide("b", "reject").bury("b")


def test_a_person_may_write_or_have_it_tried_again():
    asking().decide("b", "write", writes={"out.b": Raw(b"1")})
    again = asking().decide("b", "retry")
    again.hear(e.CallHeld, "b", "ann", "agent_budget", "it is spent")
    with broken("people", "to approve b says nothing about its budget"):
        asking().decide("b", "approve")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"by": "ann"}, "ann is no person"),
        ({"whose": "agent bob"}, "it is that of agent ann, not of agent bob"),
        ({"budget": "run_budget"}, "no run_budget asks a person for more"),
        ({"calls": -1}, "'calls': -1, 'tokens': 0, 'usd': 0} is not more"),
        ({"calls": 0}, "'calls': 0, 'tokens': 0, 'usd': 0} is not more"),
        ({"calls": 1, "usd": 5}, "it doesn't bound usd"),
        ({"others": ("a",), "calls": 1}, "a goes on with more, but it is committed"),
    ],
)
def test_what_is_no_raise(given, message):
    with broken("people", message):
        raised(asking(), **given)


def test_others_that_asked_for_the_same_go_on_too():
    telling = Telling(step("a"), step("b"), step("c"), roles=roles()).begin().do("a")
    for name in "bc":
        telling.attempts[name] = 0
        telling.hear(e.CallHeld, name, "ann", "agent_budget", "it is spent")
        telling.hear(e.StepEscalated, name, 0, "it is spent", budget="agent_budget")
    raised(telling.park(), calls=2, others=("c",)).do("b").do("c").finish()


def test_a_budget_of_tokens_or_dollars_is_raised_alike():
    account, policy = BudgetAccount(), BudgetPolicy(tokens=10, usd=5, when_spent="ask")
    account.tokens, account.usd = 10, 5
    assert account.lacks(policy) == "tokens"
    more = e.BudgetRaised(0, "b", 0, EVE, "run_budget", tokens=5, usd=5)
    assert not wrong_with(more, policy, "")
    account.raised(more)
    assert not account.lacks(policy)
    assert wrong_with(more, BudgetPolicy(tokens=10), "") == "no run_budget asks a person for more"


@pytest.mark.parametrize("gate", ["budget", "team_budget"])
def test_a_day_holds_as_many_calls_as_were_declared_and_approved(gate):
    mine = GatePolicy(budget=DAILY)
    telling = Telling(
        step("a"), step("b"), step("c"), roles=roles(budget=None, gate=mine if gate == "budget" else GatePolicy())
    )
    telling.rules.gate = mine if gate == "team_budget" else GatePolicy()
    gates, account = Gates(telling.rules), telling.account

    def began(step_id, at_us=0):
        gates.hear(account, e.AttemptStarted(at_us, step_id, 1, "ann", "v"))

    began("a")
    gates.hear(account, e.BudgetRaised(5, "b", 0, EVE, gate, "agent ann" if gate == "budget" else "", calls=1))
    gates.hear(account, e.BudgetRaised(5, "b", 0, EVE, "run_budget", calls=9))
    began("b")
    with broken("gates"):
        began("c")
    began("c", DAY_US)
    with broken("gates"):
        began("b", DAY_US + 1)
    began("b", 2 * DAY_US)
    with broken("gates"):
        began("a", 2 * DAY_US - 1)  # the clock was set back, and yesterday is over
    began("b", 9 * DAY_US)
    with broken("gates"):
        began("a", 4 * DAY_US)  # what was spent when it was days ahead counts for today
    began("b", 5 * DAY_US)
