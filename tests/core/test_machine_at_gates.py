"""What the machine makes of calls that gates hold, and the budgets of one run, as transcripts."""

import pytest

import interlock.core.events as e
from interlock.core.breaker import BreakerPolicy
from interlock.core.budget import BudgetPolicy
from interlock.core.gate import GatePolicy
from interlock.core.job import Reply, Usage
from interlock.core.plan import Plan
from interlock.core.policy import Policy
from interlock.core.purse import Purse
from interlock.core.rate import Rate, RatePolicy
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.step import Step

from .transcripts import ALL, ONCE, Transcript, step

LATER = 60_000_000
RATE = RatePolicy(Rate(1, 1_000_000))
WAITS = GatePolicy(BreakerPolicy(), RATE, BudgetPolicy(calls=1, daily=True, when_spent="wait"))
FAILS = GatePolicy(BreakerPolicy(while_open="fail"), RATE, BudgetPolicy(calls=1, daily=True))


def alone(gate=WAITS, of_team=WAITS, **more):
    run = Transcript(step("a"), roles={"ann": Role(ALL, Policy(retries=1), gate=gate, **more)}, gate=of_team)
    run.begin()
    return run


def backed(gate=WAITS):
    roles = {"ann": Role(ALL, Policy(retries=1), fallback="bob", gate=gate), "bob": Role(ALL, Policy(retries=1))}
    run = Transcript(step("a"), roles=roles, gate=WAITS)
    run.begin()
    return run


# --- held by a gate ---


@pytest.mark.parametrize("gate", ["breaker", "rate", "budget", "team_rate", "team_budget"])
def test_a_call_that_is_held_is_made_later(gate):
    run = alone()
    assert run.hold("a", gate, LATER) == ["wake a at 60,000,000"]
    assert run.states == {"a": "backing_off"}
    assert run.machine.reasons[1] == "ann was not called: it is shut"
    assert run.say(e.BackoffEnded(LATER, "a")) == ["call ann for a #1"]
    assert run.hold("a", gate, 2 * LATER) == ["wake a at 120,000,000"]
    run.say(e.BackoffEnded(2 * LATER, "a"))
    assert run.reply("a", x=1) == ["succeeded"]
    assert run.machine.cost.calls == 1


def test_until_when_a_step_backs_off_is_known_while_it_does():
    run = alone()
    assert run.machine.backs_off_until(1) is None
    run.hold("a", "rate", LATER)
    assert run.machine.backs_off_until(1) == LATER
    run.say(e.BackoffEnded(LATER, "a"))
    assert run.machine.backs_off_until(1) is None


def test_another_attempt_does_not_wait_at_a_gate_for_longer_than_attempts_may_take():
    run = Transcript(step("a"), roles={"ann": Role(ALL, Policy(retries=9, retry_for_ms=5_000), gate=WAITS)}, gate=WAITS)
    run.begin()
    assert run.hold("a", "rate", LATER) == ["wake a at 60,000,000"]  # the first: its time has not begun
    run.say(e.BackoffEnded(LATER, "a"))
    run.refuse("a")
    reason = "ann was not called: it is shut; before that: '' is not a dotted path"
    assert run.hold("a", "rate", 2 * LATER)[0] == f"buried a: {reason}"


def test_a_wait_is_told_in_whole_milliseconds_and_is_never_over_at_once():
    run = alone()
    assert (
        run.machine.advance([e.CallHeld(run.tick(), "a", "ann", "rate", "", run.at_us + 1)], run.at_us)[0].wait_ms == 1
    )
    run.say(e.BackoffEnded(run.tick(), "a"))
    assert run.machine.advance([e.CallHeld(run.tick(), "a", "ann", "rate", "", 5)], run.at_us)[0].wait_ms == 1


@pytest.mark.parametrize("gate", ["breaker", "budget", "team_budget"])
@pytest.mark.parametrize(("waits", "until_us"), [(False, LATER), (True, 0)])
def test_a_call_that_is_held_for_good_is_given_up(gate, waits, until_us):
    policy = WAITS if waits else FAILS
    run = alone(policy, policy)
    reason = "ann was not called: it is shut"
    assert run.hold("a", gate, until_us) == [f"buried a: {reason}", f"failed: a: {reason}"]


def test_what_went_wrong_before_is_told_with_a_budget_that_is_spent():
    run = Transcript(step("a"), policy=Policy(retries=3))
    run.begin()
    run.refuse("a")
    run.say(e.CallHeld(run.tick(), "a", "ann", "rate", "too many", LATER))
    run.say(e.BackoffEnded(run.tick(), "a"))
    said = run.hold("a", "run_budget")[0]
    assert said == "buried a: ann was not called: it is shut; before that: '' is not a dotted path"


@pytest.mark.parametrize("gate", ["rate", "team_rate"])
def test_a_rate_always_waits(gate):
    assert alone(FAILS, FAILS).hold("a", gate, LATER) == ["wake a at 60,000,000"]
    assert backed().hold("a", gate, LATER) == ["wake a at 60,000,000"]


@pytest.mark.parametrize("gate", ["breaker", "budget", "team_budget", "run_budget", "agent_budget"])
def test_the_fallback_takes_over_while_its_agent_is_kept_away(gate):
    run = backed()
    assert run.hold("a", gate, LATER) == ["call bob for a #1"]
    assert run.fail("a") == ["wake a at 3,200,000"]
    run.say(e.BackoffEnded(run.tick(), "a"))
    assert run.reply("a", x=1) == ["succeeded"]


def test_an_agent_that_is_kept_away_later_has_used_up_nothing_of_its_fallback():
    run = backed()
    run.refuse("a")
    assert run.hold("a", "breaker", LATER) == ["call bob for a #2"]
    assert run.refuse("a") == ["call bob for a #3"]
    assert run.refuse("a")[0].startswith("buried a: ")


def test_the_fallback_of_a_lost_call_makes_one_of_its_own():
    run = backed()
    run.start("a")
    assert run.crash() == ["call ann for a #1"]
    assert run.hold("a", "breaker", LATER) == ["call bob for a #2"]


def test_a_folded_machine_waits_as_well():
    run = alone()
    run.hold("a", "rate", LATER)
    assert run.crash() == ["wake a at 60,000,000"]


def test_a_budget_of_the_run_never_waits():
    run = alone(WAITS)
    assert run.hold("a", "run_budget", LATER)[0].startswith("buried a")


# --- budgets of one run ---


def three(**of):
    """Three calls of one agent at once."""
    plan = [step(id_, writes=[id_], budget=of.get("step")) for id_ in "abc"]
    run = Transcript(*plan, roles={"ann": Role(ALL, Policy(retries=2), budget=of.get("agent"))}, budget=of.get("run"))
    run.begin()
    return run


def held(run, step_id):
    fact = run.machine.held(run.calls[step_id], run.at_us)
    return None if fact is None else (fact.gate, fact.agent, fact.until_us, fact.reason)


CALLS = BudgetPolicy(calls=2)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ({"run": CALLS}, ("run_budget", "ann", 0, "the run: its budget is 2 calls, of which 0 calls are left")),
        ({"agent": CALLS}, ("agent_budget", "ann", 0, "agent ann: its budget is 2 calls, of which 0 calls are left")),
    ],
)
def test_calls_at_the_same_time_never_exceed_a_budget(of, expected):
    run = three(**of)
    for step_id in "ab":
        assert held(run, step_id) is None
        run.start(step_id)
    assert held(run, "c") == expected
    run.reply("a", a=1)
    assert held(run, "c") == expected


def test_a_step_has_a_budget_of_its_own_retries_included():
    run = three(step={"calls": 2})
    for _ in range(2):
        assert held(run, "a") is None
        run.refuse("a")
    assert held(run, "a")[:2] == ("step_budget", "ann")
    assert held(run, "a")[3].startswith("step a: ")
    assert held(run, "b") is None


def test_the_copies_of_a_step_share_its_budget():
    run = Transcript(step("a", samples=3, writes=["{step}"], budget={"calls": 2}))
    run.begin()
    run.start("a-1", "a-2")
    assert held(run, "a-3")[3].startswith("step a: ")


def test_the_tightest_budget_holds():
    run = three(run=BudgetPolicy(calls=9), agent=BudgetPolicy(calls=1), step={"calls": 5})
    run.start("a")
    assert held(run, "b")[0] == "agent_budget"


MONEY = BudgetPolicy(usd=100, tokens=100, call_usd=50, call_tokens=50)


@pytest.mark.parametrize(
    ("usage", "is_enough"),
    [
        (Usage(50, 0, 0.00005), True),
        (Usage(51, 0, 0.00005), False),
        (Usage(50, 0, 0.000051), False),
        (Usage(1, 0), True),  # its price is unknown, so it is what was reserved
        (None, True),  # it ended by itself and told of none
    ],
)
def test_what_was_reserved_is_settled(usage, is_enough):
    run = three(run=MONEY)
    run.start("a", "b")
    assert held(run, "c")
    run.reply("a", Reply(writes={"a": 1}, usage=Usage(0, 0, 0.0)))
    run.reply("b", Reply(writes={"b": 1}, usage=usage))
    assert (held(run, "c") is None) == is_enough


def test_a_call_that_does_not_tell_is_charged_in_full():
    run = three(run=BudgetPolicy(tokens=100, call_tokens=50))
    run.fail("a", "timeout")
    assert held(run, "b") is None
    run.start("b")
    assert held(run, "c")[3] == "the run: its budget is 100 tokens, of which 0 tokens are left for now"


def test_a_lost_call_counts_as_what_was_reserved_for_it_and_its_reissue_again():
    run = three(run=CALLS)
    run.start("a")
    run.crash()
    assert held(run, "a") is None
    run.start("a")
    assert held(run, "b")[0] == "run_budget"
    run.crash()
    assert held(run, "a")[0] == "run_budget"


def test_a_restart_does_not_reset_a_budget():
    run = three(run=CALLS)
    run.reply("a", a=1)
    run.reply("b", b=1)
    run.machine = run.fold()
    assert held(run, "c")[0] == "run_budget"


def test_a_question_is_paid_for():
    run = three(run=BudgetPolicy(calls=1))
    run.ask("a")
    assert held(run, "b")[3].endswith("of which 0 calls are left")


def test_a_late_bill_is_paid_by_whoever_made_the_call():
    """Its agent may have handed the step on since, to one who has not been called yet."""
    budget = BudgetPolicy(tokens=10)
    roles = {"ann": Role(ALL, ONCE, fallback="bob", budget=budget), "bob": Role(ALL, ONCE, budget=budget)}
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), roles=roles)
    run.begin()
    assert run.fail("a", "timeout") == ["call bob for a #2"]

    run.say(e.ReplyArrivedLate(run.tick(), "a", 1, Usage(10, 0)))
    assert held(run, "a") is None
    assert held(run, "b")[0] == "agent_budget"
    assert run.machine.cost.tokens == 10
    assert run.machine.purse.ledgers["agent ann"].spent.tokens == 10


@pytest.mark.parametrize("usage", [None, Usage(10, 0)])
def test_a_late_bill_without_any_budget_is_only_counted(usage):
    run = Transcript(step("a"), policy=Policy(retries=1))
    run.begin()
    run.fail("a", "timeout")
    assert run.say(e.ReplyArrivedLate(run.tick(), "a", 1, usage)) == []
    run = three(run=BudgetPolicy(tokens=10))
    run.fail("a", "timeout")
    run.say(e.ReplyArrivedLate(run.tick(), "a", 1, usage))
    assert (held(run, "b") is None) == (usage is None)


# --- what a cancelled run must take back ---


def test_the_calls_that_are_in_flight_or_to_be_made():
    items = [Step("each", "ann", "act", for_each="list", writes=["x.{index}"], stale_ok=True)]
    run = Transcript(*items, *(step(id_, writes=[id_]) for id_ in "abcd"), step("e", needs=["a"], writes=["e"]),
                     request={"list": [1, 2]}, policy=Policy(retries=1))  # fmt: skip
    run.begin()
    run.start("b", "each-0")
    run.fail("c")
    run.ask("d")
    assert sorted(run.machine.wanted()) == [
        ("a", 1, "ann", False),
        ("b", 1, "ann", True),
        ("c", 2, "ann", False),
        ("each-0", 1, "ann", True),
        ("each-1", 1, "ann", False),
    ]
    run.crash()
    assert ("b", 1, "ann", False) in run.machine.wanted()


# --- what others have set aside ---


def crowd(tokens):
    """Six calls at once under a budget of the run: two are under way, each of which may use 100, and four are held."""
    plan = [step(id_, writes=[id_]) for id_ in "abcdef"]
    run = Transcript(*plan, budget=BudgetPolicy(tokens=tokens, call_tokens=100))
    run.begin()
    run.start("a", "b")
    for id_ in "cdef":
        assert hold_back(run, id_) == []
    return run


def hold_back(run, step_id):
    fact = run.machine.held(run.calls[step_id], run.tick())
    assert fact.gate == "run_reservation"
    return run.say(fact)


def used(run, step_id, tokens):
    return run.judge(step_id, Reply(writes={step_id: 1}, usage=Usage(tokens, 0)))


def test_as_many_go_on_as_there_is_enough_for():
    run = crowd(tokens=299)
    assert run.say(used(run, "a", 50)) == ["c waits no more", "call ann for c #1"]
    assert run.say(used(run, "b", 50)) == []  # what is left is for c, which has not begun yet
    run.start("c")
    assert run.say(used(run, "c", 0)) == ["d waits no more", "call ann for d #1"]
    assert run.states["e"] == run.states["f"] == "backing_off"


def test_those_that_go_on_do_so_in_one_turn():
    run = crowd(tokens=299)
    waits = [f"{id_} waits no more" for id_ in "cd"]
    calls = [f"call ann for {id_} #1" for id_ in "cd"]
    assert run.say(used(run, "a", 0), used(run, "b", 0)) == [*waits, *calls]


def test_who_waits_goes_on_when_that_follows():
    run = crowd(tokens=299)
    [ended] = run.follows(used(run, "a", 50), 7)
    assert ended == e.BackoffEnded(run.at_us + 7, "c")


def test_who_is_kept_away_once_more_keeps_nothing_from_others():
    run = crowd(tokens=299)
    run.say(used(run, "a", 99))
    assert set(run.hold("c", "rate", LATER)) == {"wake c at 60,000,000", "d waits no more", "call ann for d #1"}
    assert run.say(used(run, "b", 99)) == []


def test_what_is_left_for_one_who_waited_is_left_for_its_fallback():
    roles = {name: Role(ALL, ONCE, fallback=other) for name, other in (("ann", "bob"), ("bob", None))}
    plan = [step(id_, writes=[id_]) for id_ in "abcd"]
    run = Transcript(*plan, roles=roles, budget=BudgetPolicy(tokens=299, call_tokens=100))
    run.begin()
    run.start("a", "b")
    assert hold_back(run, "c") == hold_back(run, "d") == []
    assert run.say(used(run, "a", 50)) == ["c waits no more", "call ann for c #1"]
    assert run.hold("c", "breaker", LATER) == ["call bob for c #1"]
    assert run.say(used(run, "b", 50)) == []
    assert set(run.hold("c", "rate", LATER)) == {"d waits no more", "wake c at 60,000,000", "call ann for d #1"}


def test_where_the_rest_is_spent_all_are_told():
    run = crowd(tokens=299)
    run.say(used(run, "a", 0))
    run.start("c")
    waits = [f"{id_} waits no more" for id_ in "def"]
    assert run.say(used(run, "b", 299))[:3] == waits
    assert held(run, "d")[0] == "run_budget"


def test_who_still_lacks_something_else_does_not_go_on_for_what_is_set_aside_for_others_who_do():
    roles = {
        name: Role(Scope(["act"], ["*"], [name]), ONCE, budget=BudgetPolicy(tokens=150, call_tokens=100))
        for name in ("ann", "bob")
    }
    plan = [step(f"{name}-{i}", agent=name, writes=[f"{name}.{i}"]) for name in roles for i in (1, 2)]
    run = Transcript(*plan, roles=roles, budget=BudgetPolicy(calls=3))
    run.begin()
    run.start("ann-1", "bob-1")
    assert hold_back(run, "ann-2") == hold_back(run, "bob-2") == []
    # The one call that is left may still be one of bob, who has too few tokens for it as long as another goes on.
    assert run.reply("ann-1", {"ann.1": 1}) == ["ann-2 waits no more", "call ann for ann-2 #1"]
    run.start("ann-2")
    assert run.reply("ann-2", {"ann.2": 1})[:1] == ["bob-2 waits no more"]
    assert held(run, "bob-2")[0] == "run_budget"


def test_what_was_enough_for_a_moment_lets_nobody_go_on():
    run = Transcript(*[step(id_, writes=[id_]) for id_ in "abc"], budget=BudgetPolicy(tokens=299, call_tokens=100))
    run.begin()
    run.start("a", "b")
    assert hold_back(run, "c") == []
    late = e.ReplyArrivedLate(run.tick(), "a", 1, Usage(200, 0))
    assert run.say(used(run, "a", 0), late) == []
    assert run.say(used(run, "b", 0)) == ["c waits no more", "call ann for c #1"]


def test_a_crash_forgets_nobody_who_waits():
    run = crowd(tokens=299)
    assert run.crash()[:1] == ["c waits no more"]  # nobody knows what the lost calls have used


def test_what_others_have_set_aside_costs_each_step_the_same_however_many_wait_for_it(monkeypatch):
    asked, awaited = [], Purse.awaited
    for count in (20, 200):
        looks = []
        monkeypatch.setattr(Purse, "awaited", lambda *given, looks=looks: looks.append(given) or awaited(*given))
        ids = [f"s{i}" for i in range(count)]
        plan = [step(id_, writes=[id_]) for id_ in ids]
        run = Transcript(*plan, budget=BudgetPolicy(tokens=299, call_tokens=100))
        run.begin()
        run.start("s0", "s1")
        for id_ in ids[2:]:
            assert hold_back(run, id_) == []
        for id_ in ids:
            if run.states[id_] == "ready":
                run.start(id_)
            run.say(used(run, id_, 0))
        assert run.machine.status == "succeeded"
        asked.append(len(looks) / count)
    assert max(asked) < 4


def test_another_attempt_waits_no_longer_for_others_than_attempts_may_take():
    roles = {"ann": Role(ALL, Policy(retries=9, retry_for_ms=5_000))}
    budget = BudgetPolicy(tokens=250, call_tokens=100)
    run = Transcript(step("a", writes=["a"]), step("b", writes=["b"]), roles=roles, budget=budget)
    run.begin()
    run.start("a")
    run.say(run.judge("a", Reply(writes={"": 1}, usage=Usage(60, 0))))
    run.start("b")
    (wakes,) = hold_back(run, "a")
    assert wakes.startswith("wake a at ")


# --- rules ---


def test_who_waits_where():
    rules = Rules(Plan([step("a")]), {"ann": Role(ALL, gate=WAITS)}, gate=FAILS)
    duty = rules.duties[1][0]
    waits = {kind: rules.waits_at(kind, duty) for kind in ("breaker", "rate", "budget", "team_rate", "team_budget")}
    assert waits == {"breaker": True, "rate": True, "budget": True, "team_rate": True, "team_budget": False}
    assert not rules.waits_at("run_budget", duty)
    bare = Rules(Plan([step("a")]), {"ann": Role(ALL)})
    assert not bare.waits_at("breaker", bare.duties[1][0])


def test_the_budgets_that_a_call_draws_on():
    one, two = BudgetPolicy(calls=1), BudgetPolicy(calls=2)
    rules = Rules(Plan([step("a", budget={"calls": 3})]), {"ann": Role(ALL, budget=two)}, budget=one)
    assert rules.duties[1][0].budgets == (
        ("run_budget", "", one),
        ("agent_budget", "agent ann", two),
        ("step_budget", "step a", BudgetPolicy(calls=3)),
    )
    assert Rules(Plan([step("a")]), {"ann": Role(ALL)}).duties[1][0].budgets == ()
