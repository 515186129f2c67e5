"""A budget that is spent asks a person for more: what is approved, what follows from it, and when it is refused."""

from typing import Any

import pytest

import interlock.core.events as e
from interlock.core.budget import (
    AMOUNT_MAX,
    BUDGET_MAX,
    DAY_US,
    Amounts,
    BudgetPolicy,
    Ledger,
    limit,
    raise_by,
    reserve,
    settle,
    shortfall,
)
from interlock.core.decision import Asked, decided
from interlock.core.gate import (
    AtGate,
    Gate,
    GatePolicy,
    Outcome,
    Verdict,
    copied,
    decode,
    encode,
    take_back,
    tell,
    turn,
)
from interlock.core.job import ADVICE, Question, Reply, Usage
from interlock.core.policy import Policy
from interlock.core.raises import more_of, question, told, too_little, why_not, why_not_today
from interlock.core.role import Role
from interlock.core.settlement import settled
from interlock.errors import InputError

from .test_escalation import HOUR_US, expire
from .test_settlement import decide
from .transcripts import ALL, Transcript, step

ONE = BudgetPolicy(calls=1, when_spent="ask")
OF_ALL = {"run_budget": "", "agent_budget": "agent ann", "step_budget": "step b"}
CENTS = BudgetPolicy(usd=100_000, call_usd=20_000, when_spent="ask")


def spent(*more: Any, budget: Any = ONE, **given: Any) -> Transcript:
    """A run whose budget is spent by its first step; the others wait with a question for more."""
    declared = more or (step("b", needs=["a"], writes=["y"]),)
    run = Transcript(step("a", writes=["x"]), *declared, budget=budget, **given)
    run.begin()
    run.start("a")
    run.reply("a", Reply(writes={"x": 1}, usage=Usage(5, 5, 0.1)))
    return run


def held(run: Transcript, step_id: str = "b") -> list[str]:
    """What comes of a call that is held if it must be; it is made otherwise."""
    event = run.machine.held(run.calls[step_id], run.tick())
    return run.say(event) if event is not None else ["it may be made"]


def raised(run: Transcript, step_id: str = "b", **more: float) -> list[str]:
    return decide(run, step_id, "approve", more=more)


def refused(run: Transcript, step_id: str, more: dict[str, Any]) -> str:
    """Why so much more of a budget is not approved."""
    verdict = settled(run.machine, decided(step_id, "approve", more=more), "person:eve", "", run.tick())
    [finding] = verdict.findings
    assert verdict == e.AnswerRefused(run.at_us, step_id, "person:eve", "approve", (finding,))
    assert (finding.code, run.say(verdict)) == ("decision", [])
    return finding.message


# --- what is approved ---


def test_what_is_approved_is_read_in_whole_numbers():
    assert more_of({"usd": 0.1, "tokens": 5, "calls": 2}) == Amounts(2, 5, 100_000)
    assert more_of({"usd": 3}) == Amounts(usd=3_000_000)
    assert more_of({"usd": 1e9}).usd == 10**15


NO_AMOUNT = "usd is not an amount of more than 0, up to 1,000,000,000"
NO_NUMBER = "is not a whole number of more than 0, up to 1,000,000,000,000"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "it isn't said how much more of the budget is approved"),
        ({"eur": 1}, "a budget has no 'eur'"),
        *(({"usd": bad}, NO_AMOUNT) for bad in (0, -1, -0.5, 1e9 + 1, float("nan"), float("inf"), 1e-7)),
        *(({"usd": bad}, NO_AMOUNT) for bad in (True, "1", None, [1], {"a": [[]]}, 10**400)),
        *(({"calls": bad}, f"calls {NO_NUMBER}") for bad in (0, -1, 1.0, 1.5, 10**12 + 1, True, "5")),
        ({"usd": 1, "tokens": -5}, f"tokens {NO_NUMBER}"),
    ],
)
def test_what_is_no_amount_is_refused(given, said):
    with pytest.raises(InputError) as refused:
        more_of(given)
    assert str(refused.value) == f"{said}; such as usd=0.10, tokens=4000 or calls=5"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1}])
def test_what_is_no_json_is_not_even_asked_for(bad):
    with pytest.raises(InputError, match="can't be stored"):
        decided("a", "approve", more={"usd": bad})


def test_a_raise_is_added_to_what_is_declared_and_to_the_last_one():
    ledger, policy = Ledger(), BudgetPolicy(calls=1, usd=5)
    raise_by(ledger, policy, Amounts(calls=2), 5)
    raise_by(ledger, policy, Amounts(calls=1, usd=3), 9)
    assert [limit(ledger, policy, name) for name in ("calls", "tokens", "usd")] == [4, None, 8]
    for _ in range(4):
        assert not shortfall(ledger, policy, 0)
        reserve(ledger, policy)
    assert shortfall(ledger, policy, 0) == "its budget is 4 calls, of which 0 calls are left"


def test_a_raise_of_a_daily_budget_is_for_that_day():
    ledger, policy = Ledger(), BudgetPolicy(calls=1, daily=True)
    raise_by(ledger, policy, Amounts(calls=1), DAY_US)
    assert limit(ledger, policy, "calls") == 2
    assert not shortfall(ledger, policy, 2 * DAY_US)
    assert (limit(ledger, policy, "calls"), ledger) == (1, Ledger(day=2))
    raise_by(ledger, policy, Amounts(calls=1), DAY_US)  # told when that day is over
    assert limit(ledger, policy, "calls") == 1


@pytest.mark.parametrize("daily", [True, False])
def test_no_budget_is_more_than_the_most_that_one_may_be_however_often_it_is_raised(daily):
    ledger, policy = Ledger(), BudgetPolicy(calls=5, usd=3, daily=daily)
    for at_us in (1, 2, 3):
        raise_by(ledger, policy, Amounts(calls=AMOUNT_MAX, usd=BUDGET_MAX.usd - 4), at_us)
    assert [limit(ledger, policy, name) for name in ("calls", "tokens", "usd")] == [10**12, None, 10**15]
    shortfall(ledger, policy, DAY_US)
    assert limit(ledger, policy, "calls") == (5 if daily else 10**12)


def test_what_was_asked_before_the_last_raise_is_one_shortage():
    """Each line: asked, answered, approved, and by how much the budget is raised altogether then."""
    ledger, policy = Ledger(), BudgetPolicy(calls=1, tokens=5, daily=True)
    for asked_us, at_us, more, altogether in (
        (1, 10, Amounts(calls=2), Amounts(calls=2)),
        (2, 11, Amounts(calls=2), Amounts(calls=2)),  # somebody else, about another run
        (3, 12, Amounts(calls=1, tokens=7, usd=3), Amounts(calls=2, tokens=7, usd=3)),
        (4, 13, Amounts(calls=5), Amounts(calls=5, tokens=7, usd=3)),  # the most that anybody approves
        (5, 14, Amounts(calls=4, tokens=7, usd=3), Amounts(calls=5, tokens=7, usd=3)),
        (6, 15, Amounts(tokens=8, usd=5), Amounts(calls=5, tokens=8, usd=5)),
        (10, 16, Amounts(calls=3), Amounts(calls=8, tokens=8, usd=5)),  # that was not enough: it was asked again
        (11, 17, Amounts(calls=3), Amounts(calls=8, tokens=8, usd=5)),
        (2, 18, Amounts(calls=2), Amounts(calls=8, tokens=8, usd=5)),
        (0, 19, Amounts(calls=1), Amounts(calls=9, tokens=8, usd=5)),  # of a version that doesn't say when
    ):
        raise_by(ledger, policy, more, at_us, asked_us)
        assert ledger.raised == altogether
    raise_by(ledger, policy, Amounts(calls=2), DAY_US + 2, 3)
    assert ledger.raised == Amounts(calls=2)  # it is another day


def test_whoever_was_asked_before_a_raise_is_told_of_it_and_what_would_help():
    policy = BudgetPolicy(calls=1, usd=100, daily=True)
    ledger = Ledger(DAY_US // DAY_US, Amounts(calls=4, usd=50))
    raise_by(ledger, policy, Amounts(calls=3), DAY_US + 10, DAY_US + 1)
    said = why_not_today(ledger, policy, Amounts(calls=2), DAY_US + 11, DAY_US + 2)
    assert said.startswith("2 calls more are not enough, since it was raised by 3 calls after this was asked: then its")
    assert said.endswith("at least 4 calls more would help")
    assert not why_not_today(ledger, policy, Amounts(calls=4), DAY_US + 11, DAY_US + 2)
    assert not why_not_today(ledger, policy, Amounts(calls=1), DAY_US + 11, DAY_US + 10)
    # Only of what is lacking still, more must be approved than was.
    both, raised = BudgetPolicy(calls=1, usd=100, daily=True), Ledger(1, Amounts(calls=4, usd=101))
    raise_by(raised, both, Amounts(calls=4, usd=1), DAY_US + 10, DAY_US + 1)
    said = why_not_today(raised, both, Amounts(calls=2, usd=1), DAY_US + 11, DAY_US + 2)
    assert said.endswith("at least 0.000002 USD more would help")
    assert "that is too much" in why_not_today(ledger, policy, Amounts(calls=AMOUNT_MAX), DAY_US + 11, DAY_US + 10)
    assert ledger.raised == Amounts(calls=3)
    assert not why_not_today(ledger, policy, Amounts(calls=1), 2 * DAY_US, DAY_US + 2)  # another day has begun


def test_a_gate_hears_when_it_was_asked():
    policy = GatePolicy(budget=BudgetPolicy(calls=1, daily=True, when_spent="ask"))
    gate = Gate()
    told = [Outcome("", at_us, "raised", more=Amounts(calls=2), asked_us=1) for at_us in (5, 6, 7)]
    tell(gate, policy, told)
    assert gate.ledger.raised == Amounts(calls=2)
    again = copied(gate)
    assert again == gate
    tell(again, policy, [Outcome("", 8, "raised", more=Amounts(calls=3), asked_us=7)])
    assert (gate.ledger.raised, again.ledger.raised) == (Amounts(calls=2), Amounts(calls=5))


def test_a_decision_about_what_was_asked_before_is_refused():
    """Three people have seen that the budget is spent. What the first approves is enough for one of the steps."""
    steps = (step(name, writes=[name]) for name in "abc")
    run = Transcript(*steps, budget=BudgetPolicy(calls=0, when_spent="ask"))
    run.begin()
    for name in "abc":
        held(run, name)
    seen = {name: run.machine.questions[run.machine.number[name]].asked_us for name in "abc"}
    run.tick()
    assert decide(run, "a", "approve", more={"calls": 1}, asked_us=seen["a"]) == [f"call ann for {n} #1" for n in "abc"]
    run.start("a")
    for name in "bc":
        held(run, name)
        (said,) = decide(run, name, "approve", more={"calls": 1}, asked_us=seen[name])
        assert said == (
            f"what {name} had asked is not what it waits for now: "
            "person:eve has decided about that, and it has asked anew"
        )
    assert run.machine.purse.ledger("").raised == Amounts(calls=1)
    now = run.machine.questions[run.machine.number["b"]].asked_us
    assert decide(run, "b", "approve", more={"calls": 1}, asked_us=now)


@pytest.mark.parametrize(
    ("policy", "more", "said"),
    [
        (BudgetPolicy(calls=0), Amounts(calls=1), ""),
        (BudgetPolicy(calls=0), Amounts(tokens=1), "the budget doesn't bound tokens"),
        (BudgetPolicy(calls=10**12), Amounts(calls=1), "the budget is 1,000,000,000,000 calls, and can't be raised by"),
        (BudgetPolicy(usd=10**15), Amounts(usd=1), "that is too much"),
        (BudgetPolicy(usd=10**15 - 5), Amounts(usd=5), ""),
        (BudgetPolicy(usd=0, call_usd=20_000), Amounts(usd=20_000), ""),
        (
            BudgetPolicy(usd=0, call_usd=20_000),
            Amounts(usd=19_500),
            "0.0195 USD more are not enough: then its budget is 0.0195 USD, of which 0.0195 USD are left; another call",
        ),
        (
            BudgetPolicy(calls=0, tokens=0),
            Amounts(calls=1),
            "are left; another call takes tokens, how many isn't known before",
        ),
        (BudgetPolicy(calls=0, tokens=0, daily=True), Amounts(calls=1), ""),  # for its gate to know
    ],
)
def test_why_a_budget_can_not_be_raised(policy, more, said):
    found = why_not(Ledger(), policy, more)
    assert (said in found) if said else not found


def test_what_is_reserved_for_others_may_be_enough():
    ledger, policy = Ledger(), BudgetPolicy(usd=5, call_usd=5)
    reserve(ledger, policy)
    assert not why_not(ledger, policy, Amounts(usd=1))
    assert ledger.raised is None
    settle(ledger, policy, Usage(1, 1, 0.000005), 0)
    assert why_not(ledger, policy, Amounts(usd=1))


@pytest.mark.parametrize(
    ("policy", "consumed", "least"),
    [
        (BudgetPolicy(calls=0), Amounts(), Amounts(1)),
        (BudgetPolicy(calls=1), Amounts(3), Amounts(3)),
        (BudgetPolicy(calls=1, usd=50_000, call_usd=20_000), Amounts(1, 0, 60_000), Amounts(1, 0, 30_000)),
        (BudgetPolicy(tokens=10), Amounts(1, 12), Amounts(0, 3)),
        (BudgetPolicy(tokens=10, call_tokens=5, daily=True), Amounts(1, 9), Amounts(0, 4)),
    ],
)
def test_the_least_that_would_help_is_told_and_helps(policy, consumed, least):
    ledger = Ledger(spent=consumed)
    found = too_little(ledger, policy, Amounts())
    assert found.endswith(f"; at least {told(least)} more would help")
    assert not too_little(ledger, policy, least)


def test_the_least_leaves_what_is_reserved_to_others():
    ledger, policy = Ledger(), BudgetPolicy(calls=1, usd=5, call_usd=5)
    reserve(ledger, policy)
    assert too_little(ledger, policy, Amounts(usd=1)).endswith("; at least 1 call more would help")
    assert not too_little(ledger, policy, Amounts(calls=1))


@pytest.mark.parametrize(
    ("policy", "takes"),
    [
        (BudgetPolicy(calls=1), ""),
        (BudgetPolicy(tokens=5, usd=5), "tokens, how many isn't known before and dollars, how many isn't known before"),
        (BudgetPolicy(tokens=5, usd=5, call_tokens=4_000, call_usd=30_000), "up to 4,000 tokens and up to 0.03 USD"),
    ],
)
def test_a_person_is_asked_with_what_another_call_takes(policy, takes):
    takes = f"; another call takes {takes}" if takes else ""
    why = "ann was not called: its budget is spent"
    assert question(why, policy, None, is_shared=False) == why + takes
    of_team = "ann was not called: the team's budget is spent; consumed: 1 call"
    assert question(why, policy, Amounts(1), is_shared=True) == of_team + takes


def test_nothing_is_told_as_nothing():
    assert (told(Amounts()), told(Amounts(1, 2, 30_000))) == ("nothing", "1 call, 2 tokens, 0.03 USD")


# --- a run that asks ---


@pytest.mark.parametrize("gate", OF_ALL)
def test_a_spent_budget_asks_and_a_raise_lets_the_call_be_made(gate):
    roles = {"ann": Role(ALL, Policy(retries=0), budget=ONE if gate == "agent_budget" else None)}
    of_step = {"calls": 0, "when_spent": "ask"} if gate == "step_budget" else None
    declared = step("b", needs=["a"], writes=["y"], budget=of_step)
    run = spent(declared, budget=ONE if gate == "run_budget" else None, roles=roles)
    lines = held(run)
    assert lines[0].startswith("escalated b: ann was not called: ")
    assert lines[1].startswith("parked: b needs a person: ann was not called: ")
    asked = run.machine.questions[2]
    why = Question(lines[0].removeprefix("escalated b: "))
    assert asked == Asked(0, why, by_agent=False, budget=gate, whose=OF_ALL[gate], asked_us=run.at_us)
    assert asked.verbs == ("approve", "write", "retry", "reject")

    assert raised(run, calls=1) == ["call ann for b #1"]
    assert (run.machine.status, run.machine.decided_by[2]) == ("running", "person:eve")
    assert held(run) == ["it may be made"]
    assert run.fold().purse.ledgers == run.machine.purse.ledgers
    assert run.reply("b", y=1) == ["succeeded"]


def test_all_that_is_approved_is_added_to_the_budget():
    run = spent(budget=BudgetPolicy(calls=1, tokens=5, usd=10, when_spent="ask"))
    held(run)
    assert raised(run, calls=3, tokens=4_000, usd=0.25) == ["call ann for b #1"]
    assert run.machine.purse.ledger("").raised == Amounts(3, 4_000, 250_000)


def test_to_wait_for_more_of_a_budget_takes_none_of_the_time_in_which_a_step_is_tried():
    run = Transcript(step("a"), policy=Policy(retries=9, backoff_ms=0, retry_for_ms=4_000), budget=ONE)
    run.begin()
    run.fail("a")
    held(run, "a")
    run.at_us += HOUR_US
    assert raised(run, "a", calls=9) == ["call ann for a #2"]
    assert run.fail("a") == ["call ann for a #3"]


def test_the_question_says_what_was_consumed_and_what_another_call_takes():
    run = spent(budget=CENTS)
    assert held(run)[0] == (
        "escalated b: ann was not called: the run: its budget is 0.10 USD, of which 0.00 USD are left; "
        "consumed: 1 call, 10 tokens, 0.10 USD; another call takes up to 0.02 USD"
    )


def test_a_raise_can_not_be_given_twice():
    run = spent()
    held(run)
    assert raised(run, calls=1) == ["call ann for b #1"]
    assert raised(run, calls=1) == ["b does not wait for a person: person:eve has decided about it"]
    assert limit(run.machine.purse.ledger(""), ONE, "calls") == 2


def test_what_does_not_suffice_or_is_not_bounded_is_refused_and_the_question_stays_open():
    run = spent(budget=CENTS)
    held(run)
    for more, said in (
        ({"usd": 0.01}, "0.01 USD more are not enough: then its budget is 0.11 USD, of which 0.01 USD are left"),
        ({"tokens": 5}, "the budget doesn't bound tokens"),
        ({"usd": -1}, "usd is not an amount of more than 0, up to 1,000,000,000"),
        ({}, "it isn't said how much more of the budget is approved; such as usd=0.10, tokens=4000 or calls=5"),
    ):
        assert said in refused(run, "b", more)
    assert run.states["b"] == "escalated"
    assert raised(run, usd=0.02) == ["call ann for b #1"]


@pytest.mark.parametrize("verb", ["answer", "edit"])
def test_what_says_nothing_about_a_budget_is_refused(verb):
    run = spent()
    held(run)
    assert decide(run, "b", verb) == [f"b can't be dealt with by {verb}: it needs more of a budget"]


def test_more_is_for_who_has_asked_for_it():
    run = Transcript(step("a", escalate=True))
    run.begin()
    run.refuse("a")
    (said,) = raised(run, "a", calls=1)
    assert said.startswith("a can't be dealt with by approve")
    assert decide(run, "a", "retry", more={"calls": 1}) == ["a has not asked for more of a budget"]
    run = spent()
    held(run)
    assert decide(run, "b", "reject", more={"calls": 1}) == ["b has not asked for more of a budget"]


def test_whoever_asked_for_more_of_the_same_goes_on_too():
    of_its_own = {"calls": 0, "when_spent": "ask"}
    more = (step("c", writes=["z"]), step("d", writes=["d"], budget=of_its_own), step("e", writes=["e"]))
    run = spent(step("b", writes=["y"]), *more)
    held(run, "b")
    held(run, "c")
    run.hold("d", "step_budget")
    assert [run.states[name] for name in "bcde"] == ["escalated", "escalated", "escalated", "ready"]
    assert raised(run, calls=5) == ["call ann for b #1", "call ann for c #1"]
    assert run.states["d"] == "escalated"


def test_a_step_that_still_finds_too_little_asks_anew():
    run = spent(step("b", writes=["y"]), step("c", writes=["z"]))
    for name in ("b", "c"):
        held(run, name)
    raised(run, calls=1)
    run.reply("b", y=1)
    assert [text.partition(" ")[0] for text in held(run, "c")] == ["escalated", "parked:"]
    assert raised(run, "c", calls=1) == ["call ann for c #1"]


# --- the other ways out ---


def backed(**given: Any) -> Transcript:
    roles = {"ann": Role(ALL, Policy(retries=0), fallback="bob", budget=ONE), "bob": Role(ALL, Policy(retries=0))}
    return spent(budget=None, roles=roles, **given)


def test_a_person_is_asked_before_the_fallback_stands_in_which_it_does_when_rejected():
    run = backed()
    assert held(run)[0].startswith("escalated b: ")
    assert decide(run, "b", "reject", reason="too dear") == ["call bob for b #1"]
    assert run.machine.reasons[2] == "rejected by person:eve: too dear"
    assert run.reply("b", y=1) == ["succeeded"]


def test_what_is_rejected_without_a_fallback_is_dead_and_nobody_is_asked_again():
    run = spent(step("b", needs=["a"], writes=["y"], escalate=True))
    held(run)
    assert decide(run, "b", "reject") == ["buried b: rejected by person:eve", "failed: b: rejected by person:eve"]


def test_a_person_may_do_it_in_the_agents_place():
    run = spent()
    held(run)
    assert decide(run, "b", "write", writes={"y": 5}) == ["succeeded"]
    assert run.machine.cost.calls == 1


def test_to_have_it_tried_again_asks_the_gates_again():
    run = spent()
    held(run)
    assert decide(run, "b", "retry", text="be brief") == ["call ann for b #1"]
    assert run.machine.feedback[2] == (ADVICE, "be brief")
    assert held(run)[0].startswith("escalated b: ")


@pytest.mark.parametrize(
    ("then", "lines"),
    [
        ("fallback", ["call bob for b #1"]),
        ({"then": "default", "default": {"y": 0}}, ["succeeded"]),
        ("dead", ["buried b: nobody has answered in time: "]),
    ],
)
def test_the_deadline_of_the_step_holds_for_it(then, lines):
    more = then if isinstance(then, dict) else {"then": then}
    roles = {"ann": Role(ALL, Policy(retries=0), fallback="bob", budget=ONE), "bob": Role(ALL, Policy(retries=0))}
    run = spent(step("b", needs=["a"], writes=["y"], escalate={"deadline": "1h", **more}), budget=None, roles=roles)
    held(run)
    assert run.machine.questions[2].due_us == run.at_us + HOUR_US
    found = expire(run, run.at_us + HOUR_US)
    assert found[0].startswith(lines[0])


def test_a_reply_that_was_refused_before_can_still_be_approved_when_its_attempts_are_used_up():
    run = Transcript(
        step("a", writes=["x"], schema={"properties": {"x": {"type": "integer"}}}, escalate=True, retries=1), budget=ONE
    )
    run.begin()
    run.reply("a", x="five")
    held(run, "a")
    raised(run, "a", calls=1)
    run.start("a")
    run.say(e.AttemptInterrupted(run.tick(), "a", 2))
    assert run.machine.questions == {}
    assert held(run, "a")[0].startswith("escalated a: ")
    assert run.machine.questions[1].attempt == 2
    # The call that was lost is made again, with its key.
    assert raised(run, "a", calls=1) == ["call ann for a #2"]
    assert run.reply("a", x="six")[0] == "escalated a: x: Expected `int`, got `str`"
    assert run.machine.questions[1].reply == {"x": "six"}


@pytest.mark.parametrize(("verb", "line"), [("retry", "call ann for b #2"), ("reject", "call bob for b #2")])
def test_another_call_than_the_lost_one_has_a_key_of_its_own(verb, line):
    roles = {
        "ann": Role(ALL, Policy(retries=0), fallback="bob", budget=BudgetPolicy(calls=2, when_spent="ask")),
        "bob": Role(ALL, Policy(retries=0)),
    }
    run = spent(budget=None, roles=roles)
    run.start("b")
    run.crash()
    held(run)
    assert decide(run, "b", verb) == [line]


def test_a_dead_step_that_is_tried_again_makes_a_call_of_its_own():
    run = spent(budget=BudgetPolicy(calls=2, when_spent="ask"))
    run.start("b")
    run.crash()
    held(run)
    decide(run, "b", "reject")
    assert run.say(e.RunReopened(run.tick(), ("b",), "person:eve")) == ["call ann for b #2"]
    assert held(run)[0].startswith("escalated b: ")


# --- a crash, and an end, while it waits ---


def test_the_question_and_the_raise_outlive_a_crash():
    run = spent()
    held(run)
    assert run.crash() == []
    assert run.machine.questions[2].budget == "run_budget"
    assert raised(run, calls=1) == ["call ann for b #1"]
    run.machine = run.fold()
    assert run.say() == ["call ann for b #1"]
    assert held(run) == ["it may be made"]


def test_a_budget_that_nothing_has_drawn_on_is_raised_after_a_crash():
    run = Transcript(step("a"), budget=BudgetPolicy(calls=0, when_spent="ask"))
    run.begin()
    held(run, "a")
    run.crash()
    assert raised(run, "a", calls=1) == ["call ann for a #1"]


def test_a_run_that_is_cancelled_meanwhile_asks_no_more():
    run = spent()
    held(run)
    assert run.say(e.RunCancelled(run.tick(), "eve")) == []
    assert run.states["b"] == "cancelled"


# --- daily budgets ---

DAILY = BudgetPolicy(calls=1, daily=True, when_spent="ask")


@pytest.mark.parametrize("gate", ["budget", "team_budget"])
def test_a_daily_budget_asks_too_and_its_raise_is_for_its_gate(gate):
    policy = GatePolicy(budget=DAILY)
    roles = {"ann": Role(ALL, Policy(retries=0), gate=policy)}
    run = Transcript(step("a", writes=["x"]), step("b", writes=["y"]), roles=roles, gate=policy)
    run.begin()
    whose = "the team's budget" if gate == "team_budget" else "its budget"
    said = "its budget is 1 call a day, of which 0 calls are left"
    asked = said.replace("its budget", whose)
    assert run.hold("a", gate, DAY_US, said) == [f"escalated a: ann was not called: {asked}"]
    run.hold("b", gate, DAY_US, said)

    verdict = settled(run.machine, decided("a", "approve", more={"calls": 2}), "person:eve", "busy", run.tick())
    asked_us = run.machine.questions[run.machine.number["a"]].asked_us
    meant = ("a", 0, "person:eve", gate, "agent ann" if gate == "budget" else "", 2, 0, 0, ("b",), "busy", asked_us)
    assert verdict == e.BudgetRaised(run.at_us, *meant)
    assert run.say(verdict) == ["call ann for a #1", "call ann for b #1"]
    assert run.machine.purse.ledgers == {}


def test_the_budget_of_a_day_that_is_over_is_not_raised():
    run = Transcript(step("a"), gate=GatePolicy(budget=DAILY))
    run.begin()
    run.hold("a", "team_budget", DAY_US)
    run.at_us = DAY_US
    said = refused(run, "a", {"calls": 1})
    assert said == "the day is over whose budget was spent, and a new one has begun: have it tried again"
    assert decide(run, "a", "retry") == ["call ann for a #1"]


def test_what_was_approved_of_the_runs_budget_is_no_part_of_the_teams_for_a_day():
    of_run = BudgetPolicy(calls=0, when_spent="ask")
    run = Transcript(step("a"), budget=of_run, gate=GatePolicy(budget=DAILY))
    run.begin()
    held(run, "a")
    assert raised(run, "a", calls=AMOUNT_MAX) == ["call ann for a #1"]
    run.hold("a", "team_budget", DAY_US)
    assert raised(run, "a", calls=1) == ["call ann for a #1"]


def test_a_gate_that_waits_or_has_no_budget_asks_nobody():
    waits = GatePolicy(budget=BudgetPolicy(calls=1, daily=True, when_spent="wait"))
    run = Transcript(step("a"), gate=waits)
    run.begin()
    assert run.hold("a", "team_budget", DAY_US) == [f"wake a at {DAY_US:,}"]
    asks = GatePolicy(budget=DAILY)
    run = Transcript(step("a"), gate=asks)
    run.begin()
    assert run.hold("a", "team_reservation", DAY_US) == [f"wake a at {DAY_US:,}"]


def said_at(gate: Gate, policy: GatePolicy, key: str, now_us: int, *outcomes: Outcome) -> Verdict:
    (verdict,) = turn({"": policy}, [key], now_us, [AtGate(gate, outcomes)])
    return verdict


def test_a_gate_lets_calls_through_when_its_budget_was_raised_and_keeps_that():
    policy, gate = GatePolicy(budget=DAILY), Gate()
    assert said_at(gate, policy, "k1", 0).by is None
    assert said_at(gate, policy, "k2", 0).by == "budget"
    more = Outcome("", 5, "raised", more=Amounts(calls=1))
    before = copied(gate)
    assert said_at(gate, policy, "k2", 5, more).by is None
    assert before.ledger.raised is None
    kept = decode(encode(gate))
    assert kept.ledger.raised == Amounts(calls=1)
    assert said_at(kept, policy, "k3", 6).by == "budget"
    ended = [Outcome(key, 7, "committed", usage=Usage()) for key in ("k1", "k2")]
    assert said_at(kept, policy, "k3", DAY_US, *ended).by is None
    assert kept.ledger.raised is None


def test_a_gate_whose_team_bounds_nothing_any_more_takes_no_notice():
    gate = Gate()
    take_back({"": GatePolicy()}, "k", 5, [AtGate(gate, [Outcome("", 5, "raised", more=Amounts(calls=1))])])
    assert gate == Gate()
