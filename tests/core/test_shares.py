"""More of a share: approved in the run that asks for it, and set aside in the run above it first."""

import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core.budget import BudgetPolicy
from interlock.core.decision import decided
from interlock.core.delegating import SHARE
from interlock.core.job import Reply, Usage
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.settlement import settled
from interlock.core.shares import Wanted, approval_of, share_raised, wanted_of

from .test_delegating import UNBOUNDED, Above, lab
from .transcripts import ALL, ONCE, Transcript, step

EVE = "person:eve"
ASKS = BudgetPolicy(calls=1, tokens=100, usd=30, when_spent="ask")
OVER_ALL = BudgetPolicy(calls=9, tokens=200, usd=50)


class Asking(Above):
    """A run with a step that a run does which has spent its share, and asks for more of it."""

    def __init__(self, *steps, share=ASKS, over=OVER_ALL, policy=UNBOUNDED, **given):
        super().__init__(step("research", agent="lab"), *steps, role=lab(policy, budget=share), budget=over, **given)
        self.begin()
        started, below = self.have("research")
        self.below = Transcript(step("draft"), step("more", needs=["draft"]), roles={"ann": Role(ALL, ONCE)})
        self.below.at_us = self.at_us
        self.below.say(e.RunStarted(started.at_us, Raw(b"{}"), "inner", "plan", parent=below.machine.parent))
        self.below.reply("draft", Reply(writes={"result": 1}, usage=Usage(60, 40, 0.00003)))
        self.below.say(self.below.machine.held(self.below.calls["more"], self.below.tick()))
        self.hear(self.below)

    def want(self, **more):
        """What is asked of this run where a person approves more below."""
        return wanted_of(self.below.machine, "c", decided("more", "approve", more=more))

    def approve(self, by=EVE, **more):
        return share_raised(self.machine, self.want(**more), by, "busy", self.tick())

    @property
    def ledger(self):
        return self.machine.purse.ledger("")


def test_a_share_that_is_spent_is_asked_for_below():
    run = Asking()
    asked = run.below.machine.questions[2]
    assert (asked.budget, asked.whose) == ("share", SHARE)
    said = f"ann was not called: {SHARE}: its budget is 1 call, of which 0 calls are left; consumed: 1 call"
    assert asked.question.text.startswith(said)
    assert run.machine.status == "parked"


def test_without_leave_to_ask_a_step_is_given_up_below():
    run = Asking(share=BudgetPolicy(calls=1, tokens=200, usd=30))
    assert (run.below.states["more"], run.below.machine.status) == ("dead", "failed")


def test_what_is_approved_is_set_aside_first_and_then_granted():
    run = Asking()
    reserved = run.ledger.reserved
    assert (reserved.calls, reserved.tokens, reserved.usd) == (1, 100, 30)
    verdict = run.approve(calls=2, tokens=50, usd=0.00001)
    asked = run.below.machine.questions[2]
    told = ("research", 1, "c", EVE, "more", 0, asked.asked_us, 2, 50, 10, "busy")
    assert verdict == e.ShareRaised(run.at_us, *told)
    assert run.say(verdict) == []
    assert (reserved.calls, reserved.tokens, reserved.usd) == (3, 150, 40)
    assert run.ledger.returnable == 2
    assert (run.machine.status, run.fold().purse.ledger("")) == ("parked", run.ledger)

    decision = approval_of(verdict)
    assert decision.more == {"calls": 2, "tokens": 50, "usd": 0.00001}
    raised = settled(run.below.machine, decision, EVE, "busy", run.below.tick(), covered=True)
    assert (raised.budget, raised.whose, raised.calls, raised.tokens, raised.usd) == ("share", SHARE, 2, 50, 10)
    assert run.below.say(raised) == ["call ann for more #1"]
    run.below.reply("more", Reply(writes={"more": 1}, usage=Usage(20, 0, 0.000005)))
    run.hear(run.below)
    spent = run.ledger.spent
    assert (spent.calls, spent.tokens, spent.usd) == (2, 120, 35)
    assert (reserved.calls, reserved.tokens, reserved.usd, run.ledger.returnable) == (0, 0, 0, 0)


def test_below_nothing_is_granted_that_is_not_set_aside():
    run = Asking()
    decision = decided("more", "approve", more={"calls": 2})
    verdict = settled(run.below.machine, decision, EVE, "", run.below.tick())
    assert verdict.findings[0].message == "more of its share is set aside in the run above first"


def test_what_is_approved_must_be_enough_and_of_what_the_share_bounds():
    run = Asking(share=BudgetPolicy(calls=1, usd=30, when_spent="ask"), over=BudgetPolicy(calls=9))
    for more, said in (
        ({"tokens": 5}, "the budget doesn't bound tokens"),
        ({"usd": 1}, "1.00 USD more are not enough"),
    ):
        decision = decided("more", "approve", more=more)
        verdict = settled(run.below.machine, decision, EVE, "", run.below.tick(), covered=True)
        assert verdict.findings[0].message.startswith(said)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"calls": 9},
            "9 calls more can't be set aside for run c: the run above: its budget is 9 calls, of which 8 calls",
        ),
        (
            {"tokens": 101},
            "101 tokens more can't be set aside for run c: the run above: its budget is 200 tokens, of which",
        ),
        (
            {"calls": 1, "usd": 1},
            "1 call, 1.00 USD more can't be set aside for run c: the run above: its budget is 0.00005",
        ),
        ({"calls": -1}, "calls is not a whole number of more than 0"),
    ],
)
def test_what_the_budget_over_it_has_no_room_for_is_refused_and_said(more, said):
    run = Asking()
    verdict = run.approve(**more)
    assert (verdict.step, verdict.by, verdict.decision) == ("research", EVE, "approve")
    assert verdict.findings[0].message.startswith(said)


def test_all_that_is_left_can_be_set_aside_and_what_the_budget_does_not_bound():
    run = Asking()
    assert run.say(run.approve(calls=8, tokens=100, usd=0.00002)) == []
    assert run.ledger.reserved.calls == 9
    run = Asking(over=BudgetPolicy(calls=9))
    run.say(run.approve(usd=1_000))
    assert run.ledger.reserved.usd == 1_000_000_030


def test_what_the_share_of_the_run_above_has_no_room_for_is_told_as_that():
    run = Asking(over=None, parent=e.Parent("q", "s", 1, calls=2))
    said = f"2 calls more can't be set aside for run c: {SHARE}: its budget is 2 calls, of which 1 call is left"
    assert run.approve(calls=2).findings[0].message == said
    run.say(run.approve(calls=1))
    assert run.machine.purse.ledger(SHARE).reserved.calls == 2


def test_each_question_is_answered_once():
    run = Asking()
    run.say(run.approve(calls=1))
    said = "person:eve has approved more for more of run c"
    assert run.approve(by="person:bob", calls=1).findings[0].message == said
    other = Wanted("research", "c", "other", 0, 5, {"calls": 1})
    assert isinstance(share_raised(run.machine, other, EVE, "", run.tick()), e.ShareRaised)


@pytest.mark.parametrize("wanted", [("nowhere", "c"), ("tell", "c"), ("research", "other")])
def test_for_a_run_that_does_no_step_nothing_is_set_aside(wanted):
    run = Asking(step("tell"))
    verdict = share_raised(run.machine, Wanted(*wanted, "more", 0, 5, {"calls": 1}), EVE, "", run.tick())
    assert verdict.findings[0].message == f"{wanted[0]} does not wait for run {wanted[1]}"


def test_when_it_has_ended_nothing_more_is_set_aside_for_it():
    run = Asking()
    wanted = run.want(calls=1)
    run.say(e.ChildEnded(run.tick(), "research", 1, "c", "cancelled"))
    verdict = share_raised(run.machine, wanted, EVE, "", run.tick())
    assert verdict.findings[0].message == "research does not wait for run c"


def test_what_was_approved_is_set_aside_for_further_attempts_too():
    """The run may go on in its place, with all that it was given and has not spent."""
    run = Asking(policy=Policy(retries=1, timeout_ms=0, backoff_ms=0))
    run.say(run.approve(calls=2))
    run.say(e.ChildEnded(run.tick(), "research", 1, "c", "failed", "no", Usage(), 1))
    assert run.ledger.reserved.calls == 0
    _, below = run.have("research", "d")
    assert run.ledger.reserved.calls == 3
    assert (below.machine.parent.calls, below.machine.parent.tokens, below.machine.parent.usd) == (3, 100, 30)
    assert below.machine.share.asks


def test_a_run_that_is_given_up_is_charged_with_all_that_was_set_aside():
    share = BudgetPolicy(calls=1, when_spent="ask")
    run = Asking(share=share, over=BudgetPolicy(calls=9), policy=Policy(retries=0, timeout_ms=3_600_000))
    run.say(run.approve(calls=2))
    run.say(e.ChildAbandoned(run.tick(), "research", 1, "c"))
    assert (run.ledger.spent.calls, run.ledger.reserved.calls) == (3, 0)
    run.say(e.ChildEnded(run.tick(), "research", 1, "c", "cancelled", "", Usage(), 2, late=True))
    assert run.ledger.spent.calls == 3


def test_a_run_between_asks_for_what_one_below_it_would_take():
    parent = e.Parent("q", "s", 1, calls=2, when_spent="ask")
    run = Above(step("research", agent="lab"), role=lab(budget=BudgetPolicy(calls=4)), parent=parent)
    run.begin()
    run.say(run.machine.held(run.children["research"], run.tick()))
    assert run.machine.questions[1].budget == "share"
    few = settled(run.machine, decided("research", "approve", more={"calls": 1}), EVE, "", run.tick(), covered=True)
    assert few.findings[0].message.endswith("at least 2 calls more would help")
    run.say(settled(run.machine, decided("research", "approve", more={"calls": 2}), EVE, "", run.tick(), covered=True))
    run.have("research")
    assert run.machine.purse.ledger(SHARE).reserved.calls == 4


def test_without_a_share_there_is_no_such_budget():
    run = Above(step("research", agent="lab"))
    run.begin()
    assert run.machine.budget_at("share", run.machine.duty(1)) == (None, SHARE)
