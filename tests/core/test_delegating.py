"""Steps that runs of nested teams do: what a run makes of how those stand, and what they take of its budgets."""

import pytest
from msgspec import Raw

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core.above import Above as TeamAbove
from interlock.core.budget import Amounts, BudgetPolicy
from interlock.core.children import hash_of, parent_of, request_of, told_by
from interlock.core.decision import decided
from interlock.core.effects import EffectRule
from interlock.core.gate import OPEN, GatePolicy, policy_above
from interlock.core.guardrail import Judge, Seat
from interlock.core.job import Question, Reply, Usage
from interlock.core.nested import DEPTH_MAX, Nested
from interlock.core.policy import Escalation, Policy
from interlock.core.rate import Rate, RatePolicy
from interlock.core.redrive import why_not_again
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.settlement import expired, overdue, settled
from interlock.errors import InputError, cut_short

from .transcripts import ALL, ONCE, Transcript, line, step

HOUR = 3_600_000_000
SCOPE = Scope(["act"], ["topic"], ["found", "found_by.*"])
UNBOUNDED = Policy(retries=0, timeout_ms=0)


def lab(policy=UNBOUNDED, inputs=None, outputs=None, **given):
    nested = Nested("inner", "hash", inputs or {"q": "topic"}, outputs or {"found": "result"})
    return Role(given.pop("scope", SCOPE), policy, nested=nested, **given)


class Above(Transcript):
    """A run with steps that the team `lab` does."""

    def __init__(self, *steps, role=None, parent=None, **given):
        ann = Role(Scope(["act"], ["*"], ["told"]), ONCE)
        roles = {"lab": role or lab(), "ann": ann, **given.pop("roles", {})}
        super().__init__(*steps, roles=roles, request={"topic": "bees", "secret": 1}, **given)
        self.parent = parent
        self.children = {}

    def begin(self):
        first = e.RunStarted(0, Raw(b'{"topic":"bees","secret":1}'), "team", "plan", parent=self.parent)
        return self.say(first)

    def say(self, *facts):
        known = list(facts)
        commands = self.machine.advance(known, self.at_us)
        self.journal += map(e.encode, known)
        self.children |= {one.step: one for one in commands if isinstance(one, c.StartChild)}
        self.calls |= {one.step: one for one in commands if isinstance(one, c.CallAgent)}
        self.effects |= {(one.step, one.key): one for one in commands if isinstance(one, c.PerformEffect)}
        return [line(thing) for thing in (*known[len(facts) :], *commands)]

    def have(self, step_id, run_id="c", seq=0):
        """Begin the run that does a step; the run itself, as its own events tell it."""
        fact = self.machine.start_child(self.children[step_id], run_id, self.tick(), seq)
        self.journal.append(e.encode(fact))
        below = Below(fact, self)
        return fact, below

    def hear(self, below, run_id="c"):
        """Look at the run below."""
        self.heard = told_by(self.machine, "r", run_id, below.machine, self.tick())
        lines = self.say(*self.heard)
        return [type(fact).__name__ for fact in self.heard], lines

    def again(self):
        """As after a crash."""
        self.machine = self.fold()
        return self.say()


class Below(Transcript):
    """The run that does a step."""

    def __init__(self, started, above, **given):
        super().__init__(step("draft"), roles={"ann": Role(ALL, ONCE)}, **given)
        raw = request_of(above.machine, "r", started, self.rules)
        parent = parent_of(above.machine, "r", started, "outer/")
        self.say(e.RunStarted(above.at_us, Raw(raw), "inner", "plan", parent=parent))


def test_a_step_of_a_team_is_done_by_a_run_and_not_called():
    run = Above(step("research", agent="lab"))
    assert run.begin() == ["have lab do research #1"]
    started, below = run.have("research")
    assert (started.agent, started.run_id, started.due_us) == ("lab", "c", 0)
    assert run.states["research"] == "running"
    assert (run.machine.running(), run.machine.wanted()) == ([], [])
    assert below.context == {"q": "bees"}
    assert run.hear(below) == ([], [])
    below.reply("draft", result={"a": 1})
    assert run.hear(below) == (["ChildEnded", "AttemptCommitted"], ["succeeded"])
    assert run.context == {"topic": "bees", "secret": 1, "found": {"a": 1}}
    assert run.fold().context.to_dict() == run.context
    # Its end was told, and is told no more.
    assert run.hear(below) == ([], [])


def test_what_it_has_read_is_known_and_its_end_tells_the_hash_of_what_it_writes():
    run = Above(step("research", agent="lab"))
    run.begin()
    _, below = run.have("research")
    below.reply("draft", Reply(writes={"result": 1}, usage=Usage(60, 40, 0.5)))
    run.hear(below)
    ended, committed = run.heard
    told = ("research", 1, "c", "succeeded", "", Usage(60, 40, 0.5), 1)
    assert ended == e.ChildEnded(run.at_us, *told, hash_of(committed))
    assert (committed.reads, ended.writes != "") == (("topic",), True)


def test_the_run_below_is_told_whose_step_it_does_and_what_it_may_consume():
    run = Above(step("research", agent="lab"), role=lab(budget=BudgetPolicy(3, 300, 30)))
    run.begin()
    _, below = run.have("research")
    assert below.machine.parent == e.Parent("r", "research", 1, depth=1, calls=3, tokens=300, usd=30)


DAY = GatePolicy(rate=RatePolicy(Rate(9, 1_000_000)), budget=BudgetPolicy(calls=9, daily=True, when_spent="ask"))
OUTER = TeamAbove("outer/", DAY.rate, DAY.budget)
TOP = TeamAbove("top/", None, BudgetPolicy(calls=5, daily=True, when_spent="wait"))


def test_the_run_below_is_told_of_the_teams_above_whose_gates_its_calls_pass():
    parent = e.Parent("q", "s", 1, above=(TOP,))
    for gate, above in ((DAY, (OUTER, TOP)), (OPEN, (TOP,))):
        run = Above(step("research", agent="lab"), role=lab(budget=BudgetPolicy(3)), parent=parent, gate=gate)
        run.begin()
        _, below = run.have("research")
        assert below.machine.parent == e.Parent("r", "research", 1, 2, calls=3, above=above)
        assert below.fold().parent == below.machine.parent
    run = Above(step("research", agent="lab"), gate=DAY)
    run.begin()
    assert run.have("research")[1].machine.parent.above == (OUTER,)


def below_others():
    """A run below a team whose day has people asked for more, which is below one whose day is waited for."""
    role = lab(budget=BudgetPolicy(3))
    run = Above(step("research", agent="lab"), role=role, parent=e.Parent("q", "s", 1, above=(TOP,)), gate=DAY)
    run.begin()
    return run.have("research")[1]


@pytest.mark.parametrize(
    ("gate", "until_us", "follows"),
    [
        ("above_1_rate", 90_000_000, "wake draft at 90,000,000"),
        ("above_1_reservation", 90_000_000, "wake draft at 90,000,000"),
        ("above_2_budget", 90_000_000, "wake draft at 90,000,000"),
        ("above_1_budget", 90_000_000, "escalated draft: ann was not called: it is shut"),
        ("team_budget", 90_000_000, "buried draft: ann was not called: it is shut"),
    ],
)
def test_where_the_gate_of_a_team_above_holds_a_call_follows_what_that_declares(gate, until_us, follows):
    below = below_others()
    assert below.hold("draft", gate, until_us)[0] == follows


def test_more_of_the_day_of_a_team_above_is_asked_for_below():
    below, why = below_others(), "team outer: its budget is 9 calls a day, of which 0 calls are left"
    below.hold("draft", "above_1_budget", 90_000_000, why)
    asked = below.machine.questions[1]
    assert asked.question.text == f"ann was not called: {why}"
    assert (asked.budget, asked.whose) == ("above_1_budget", "team outer")
    verdict = settled(below.machine, decided("draft", "approve", more={"calls": 2}), "person:eve", "", below.tick())
    meant = ("draft", 0, "person:eve", "above_1_budget", "team outer", 2)
    assert verdict == e.BudgetRaised(below.at_us, *meant, asked_us=asked.asked_us)
    assert below.say(verdict) == ["call ann for draft #1"]
    assert "team outer" not in below.machine.purse.ledgers


def test_of_a_gate_that_holds_a_call_the_machine_knows_what_was_declared():
    machine, duty = below_others().machine, below_others().machine.duty(1)
    assert machine.gate_at("above_1_rate", duty) == policy_above(0, OUTER)
    assert machine.gate_at("team_rate", duty) == machine.rules.gate
    assert machine.gate_at("rate", duty) == duty.gate
    assert machine.budget_at("above_2_budget", duty) == (TOP.budget, "team top")
    assert machine.budget_at("above_2_reservation", duty) == (None, "team top")
    assert machine.budget_at("team_budget", duty) == (None, "")


def test_without_outputs_comes_out_what_has_changed_and_may_be_written():
    role = Role(Scope(["act"], ["topic"], ["topic", "found"]), UNBOUNDED, nested=Nested("inner", "hash"))
    run = Above(step("research", agent="lab"), role=role)
    run.begin()
    _, below = run.have("research")
    assert below.context == {"topic": "bees"}
    below.reply("draft", found=1, secret=2)
    assert run.hear(below) == (["ChildEnded", "AttemptCommitted"], ["succeeded"])
    assert run.heard[1].writes.keys() == {"found"}


@pytest.mark.parametrize("crash", [False, True])
def test_a_run_that_is_parked_parks_the_one_above_which_loses_nothing(crash):
    run = Above(step("research", agent="lab"), step("tell", needs=["research"]))
    run.begin()
    _, below = run.have("research")
    below.ask("draft", "May I?")
    if crash:
        assert run.again() == []
    assert run.hear(below) == (["ChildParked"], ["parked: research: run c waits: draft asks: May I?"])
    assert run.hear(below) == ([], [])
    if crash:
        assert run.again() == []
    assert (run.machine.status, run.states["research"]) == ("parked", "running")
    below.say(e.QuestionAnswered(below.tick(), "draft", 1, "person:ann", "answer", "yes"))
    assert run.hear(below) == ([], [])
    below.ask("draft", "Really?")
    assert run.hear(below) == (["ChildParked"], ["parked: research: run c waits: draft asks: Really?"])
    below.say(e.QuestionAnswered(below.tick(), "draft", 2, "person:ann", "answer", "yes"))
    below.reply("draft", result=1)
    assert run.hear(below) == (["ChildEnded", "AttemptCommitted"], ["call ann for tell #1"])
    run.reply("tell", {"told": 1})
    assert run.machine.status == "succeeded"


def test_a_step_that_another_run_does_is_decided_about_there():
    run = Above(step("research", agent="lab"), step("tell", needs=["research"]))
    run.begin()
    _, below = run.have("research")
    look = "see how that one stands: interlock show c"
    assert why_not_again(run.machine, "r", "research") == ("run c does it", look)
    below.ask("draft", "May I?")
    run.hear(below)
    decide = f"decide there: interlock inbox show c; or {look}"
    assert why_not_again(run.machine, "r", "research", skip=True) == ("run c does it, and waits", decide)
    below.say(e.RunCancelled(below.tick(), "person:ann", "no"))
    run.hear(below)
    assert why_not_again(run.machine, "r", "research") is None


def test_a_run_that_waits_for_several_says_so_and_one_that_can_go_on_does():
    some = [step(name, agent="lab", writes=[f"found_by.{name}"]) for name in ("one", "two")]
    run = Above(*some, step("tell"), role=lab(outputs={"found_by.{step}": "result"}))
    run.begin()
    below = [run.have(name, name)[1] for name in ("one", "two")]
    for one, name in zip(below, ("one", "two"), strict=True):
        one.ask("draft")
        assert run.hear(one, name) == (["ChildParked"], [])
    run.reply("tell", {"told": 1})
    assert run.machine.reason == "one: run one waits: draft asks: Really?, and 1 more wait"


def test_a_run_that_fails_is_a_failure_and_one_that_was_cancelled_is_one_for_good():
    run = Above(step("research", agent="lab"), role=lab(Policy(retries=2, timeout_ms=0, backoff_ms=0)))
    run.begin()
    _, below = run.have("research")
    below.fail("draft")
    kinds, lines = run.hear(below)
    assert kinds == ["ChildEnded"]
    assert lines == [
        "failed research #1: child_failed: run c has failed: draft: it broke",
        "have lab do research #2",
    ]
    _, below = run.have("research", "d")
    below.say(e.RunCancelled(below.tick(), "person:ann", "no"))
    _, lines = run.hear(below, "d")
    why = "run d was cancelled: cancelled by person:ann: no"
    assert lines[0] == f"failed research #2, for good: child_cancelled: {why}"
    assert lines[1:] == [f"buried research: {why}", f"failed: research: {why}"]
    assert run.fold().status == "failed"


def test_a_run_that_goes_on_after_it_has_failed_is_charged_for_what_came_after():
    run = Above(step("research", agent="lab"), role=lab(Policy(retries=2, timeout_ms=0, backoff_ms=0)))
    run.begin()
    _, below = run.have("research")
    first, second = Usage(60, 40, 0.25, requests=2), Usage(30, 20, 0.5, requests=1)
    below.reply("draft", Reply(writes={"": 1}, usage=first))
    run.hear(below)
    assert [(ended.status, ended.usage, ended.calls) for ended in run.heard] == [("failed", first, 1)]
    assert run.machine.failed == {run.machine.number["research"]: "c"}
    run.machine.start_child(run.children["research"], "c", run.tick(), below.machine.seq)
    below.say(e.RunReopened(below.tick(), ("draft",), "run:r"))
    below.reply("draft", Reply(writes={"result": 1}, usage=second))
    assert run.hear(below) == (["ChildEnded", "AttemptCommitted"], ["succeeded"])
    assert (run.heard[0].usage, run.heard[0].calls) == (second, 1)
    both = Usage(90, 60, 0.75, requests=3)
    assert (run.machine.purse.usage, run.machine.cost.calls, below.machine.purse.usage) == (both, 2, both)
    assert (run.machine.charged, run.machine.failed) == ({"c": (both, 2)}, {})


def test_a_failure_that_its_driver_did_not_live_to_tell_is_told_by_the_next_one():
    run = Above(step("research", agent="lab"))
    run.begin()
    _, below = run.have("research")
    below.fail("draft")
    [ended] = told_by(run.machine, "r", "c", below.machine, run.tick())
    run.machine.apply(ended)
    run.journal.append(e.encode(ended))
    assert run.again()[0].startswith("failed research #1: child_failed")


def test_what_it_has_come_to_may_be_refused():
    run = Above(step("research", agent="lab", schema={"properties": {"found": {"type": "integer"}}}))
    run.begin()
    _, below = run.have("research")
    below.reply("draft", result="text")
    kinds, lines = run.hear(below)
    assert kinds == ["ChildEnded", "AttemptRefused"]
    assert lines[-1].startswith("failed: research: ")


def test_a_run_that_has_not_ended_in_time_is_waited_for_no_more():
    run = Above(step("research", agent="lab"), role=lab(Policy(retries=0, timeout_ms=3_600_000)))
    run.begin()
    started, _ = run.have("research")
    assert started.due_us == run.at_us + HOUR
    assert run.say() == [], "whoever has begun it sees to its time"
    n = run.machine.number["research"]
    assert run.again() == [f"wake research at {started.due_us:,}"]
    assert overdue(run.machine, started.due_us) == [n]
    run.at_us = started.due_us
    lines = run.say(expired(run.machine, n, run.at_us))
    assert lines[0] == "failed research #1: timeout: run c has not ended in time, and is cancelled"
    assert run.machine.abandoned.keys() == {"c"}
    assert run.machine.status == "failed"


@pytest.mark.parametrize(("left_us", "wait_ms"), [(HOUR, 3_600_000), (1_001, 2), (1_000, 1), (0, 0), (-1_001, 0)])
def test_the_timer_of_a_run_is_set_for_what_is_left_of_its_time(left_us, wait_ms):
    run = Above(step("research", agent="lab"), role=lab(Policy(retries=0, timeout_ms=3_600_000)))
    run.begin()
    started, _ = run.have("research")
    machine = run.fold()
    machine.at_us = started.due_us - left_us
    number = machine.number["research"]
    assert machine.decide() == [c.StartTimer(number, "research", started.due_us, wait_ms)]


def test_a_run_that_has_not_ended_in_time_may_be_a_persons():
    run = Above(
        step("research", agent="lab"),
        role=lab(Policy(retries=0, timeout_ms=3_600_000), escalation=Escalation()),
    )
    run.begin()
    run.at_us = run.have("research")[0].due_us
    lines = run.say(expired(run.machine, run.machine.number["research"], run.at_us))
    why = "run c has not ended in time, and is cancelled"
    assert lines == [
        f"failed research #1: timeout: {why}",
        f"escalated research: {why}",
        f"parked: research needs a person: {why}",
    ]


def test_one_that_is_parked_may_be_overdue_and_its_end_is_charged_late():
    run = Above(
        step("research", agent="lab"),
        role=lab(Policy(retries=0, timeout_ms=3_600_000), escalation=Escalation(), budget=BudgetPolicy(3, 100)),
        budget=BudgetPolicy(5, 500),
    )
    run.begin()
    started, below = run.have("research")
    below.reply("draft", Reply(ask=Question("Really?"), usage=Usage(100, 50)))
    run.hear(below)
    assert run.machine.status == "parked"
    run.at_us = started.due_us
    lines = run.say(expired(run.machine, run.machine.number["research"], run.at_us))
    assert lines[-1].startswith("parked: research needs a person: run c has not ended in time")
    assert run.machine.purse.ledger("").spent == Amounts(3, 100, 0)
    assert run.hear(below) == ([], [])
    below.say(e.RunCancelled(below.tick(), "run:r"))
    assert run.hear(below) == (["ChildEnded"], [])
    assert (run.machine.status, run.machine.cost.calls, run.machine.abandoned) == ("parked", 1, {})
    assert run.fold().cost == run.machine.cost
    # It has exceeded its budget of tokens, but not that of calls.
    assert run.machine.purse.ledger("").spent == Amounts(3, 150, 0)
    assert run.hear(below) == ([], [])


def test_of_a_run_that_does_no_step_of_this_one_nothing_follows():
    run = Above(step("research", agent="lab"))
    run.begin()
    _, below = run.have("research")
    below.reply("draft", result=1)
    assert told_by(run.machine, "other", "c", below.machine, 9) == []
    assert told_by(run.machine, "r", "d", below.machine, 9) == []
    stranger = Transcript(step("draft"))
    stranger.begin()
    assert told_by(run.machine, "r", "c", stranger.machine, 9) == []
    elsewhere = Transcript(step("draft"))
    elsewhere.say(e.RunStarted(0, Raw(b"{}"), "t", "p", parent=e.Parent("r", "nowhere", 1)))
    assert told_by(run.machine, "r", "c", elsewhere.machine, 9) == []


def test_the_end_of_another_run_than_that_which_does_a_step_is_no_fact():
    run = Above(step("research", agent="lab"))
    run.begin()
    run.have("research")
    with pytest.raises(AssertionError, match="run d is not the one that does it"):
        run.machine.apply(e.ChildEnded(9, "research", 1, "d", "succeeded"))


def test_why_a_run_could_not_begin_is_told_in_short():
    run = Above(step("research", agent="lab"))
    run.begin()
    run.have("research")
    lines = run.say(e.ChildEnded(run.tick(), "research", 1, "c", "failed", "x" * 1_001))
    assert lines[0] == f"failed research #1: child_failed: run c has failed: {cut_short('x' * 1_001, 1_000)}"


def test_a_run_that_goes_on_is_looked_at_for_what_came_after():
    run = Above(step("research", agent="lab"))
    run.begin()
    _, below = run.have("research", seq=3)
    below.fail("draft")
    assert below.machine.seq > 3
    below.machine.seq = 3
    assert run.hear(below) == ([], [])


def test_teams_are_nested_to_a_bounded_depth():
    run = Above(step("research", agent="lab"), parent=e.Parent("q", "s", 1, DEPTH_MAX - 1))
    run.begin()
    _, below = run.have("research")
    assert below.machine.parent.depth == DEPTH_MAX
    deep = Above(step("research", agent="lab"), parent=e.Parent("q", "s", 1, DEPTH_MAX))
    deep.begin()
    fact = deep.machine.start_child(deep.children["research"], "c", deep.tick(), 0)
    with pytest.raises(InputError, match=r"^teams are nested more than 8 deep; have fewer of them between$"):
        parent_of(deep.machine, "r", fact, "outer/")


def test_an_item_goes_in():
    role = lab(inputs={"q": "{item}"}, scope=Scope(["act"], [], ["found"]))
    run = Above(step("research", agent="lab", for_each="topics"), role=role, reducers={"found": "append"})
    run.say(e.RunStarted(0, Raw(b'{"topics":["a","b"]}'), "team", "plan"))
    below = [run.have(f"research-{n}", f"c{n}")[1] for n in range(2)]
    assert [one.context for one in below] == [{"q": "a"}, {"q": "b"}]
    for n, one in enumerate(below):
        one.reply("draft", result=n)
        run.hear(one, f"c{n}")
    assert run.context["found"] == [0, 1]


def test_what_each_copy_comes_to_is_written_under_its_number():
    role = lab(inputs={"q": "{item}"}, outputs={"found_by.{index}": "result"})
    run = Above(step("research", agent="lab", for_each="topic", writes=["found_by.{index}"]), role=role)
    run.say(e.RunStarted(0, Raw(b'{"topic":["a","b"]}'), "team", "plan"))
    for n in range(2):
        below = run.have(f"research-{n}", f"c{n}")[1]
        below.reply("draft", result=n)
        run.hear(below, f"c{n}")
    assert run.context["found_by"] == {"0": 0, "1": 1}


def test_a_judge_looks_at_what_a_team_has_come_to():
    roles = {"eve": Role(Scope(["judge"], ["*"]), ONCE)}
    run = Above(
        step("research", agent="lab"),
        role=lab(guardrails=["judged"]),
        roles=roles,
        guard=lambda _: Seat(Judge(agent="eve", action="judge")),
    )
    run.begin()
    _, below = run.have("research")
    below.reply("draft", result=1)
    kinds, lines = run.hear(below)
    assert (kinds, lines) == (["ChildEnded", "ReplyDrafted"], ["call eve for research #2"])
    assert run.reply("research", {"score": 1.0}) == ["committed research #1", "succeeded"]
    assert run.machine.cost.calls == 2


# --- budgets ---

SHARE = BudgetPolicy(calls=3, tokens=300, usd=30)


def test_what_a_run_may_consume_is_set_aside_at_once_and_what_it_did_consume_is_charged():
    most = BudgetPolicy(calls=5, tokens=500, usd=50)
    run = Above(step("research", agent="lab"), step("tell"), role=lab(budget=SHARE), budget=most)
    run.begin()
    _, below = run.have("research")
    reserved = run.machine.purse.ledger("").reserved
    assert (reserved.calls, reserved.tokens, reserved.usd) == (3, 300, 30)
    below.reply("draft", Reply(writes={"result": 1}, usage=Usage(60, 40, 0.00001)))
    run.hear(below)
    ledger = run.machine.purse.ledger("")
    assert (ledger.spent.calls, ledger.spent.tokens, ledger.spent.usd) == (1, 100, 10)
    assert (ledger.reserved.calls, ledger.reserved.tokens, ledger.reserved.usd) == (0, 0, 0)
    assert run.machine.cost.calls == 1
    assert run.machine.purse.usage == Usage(60, 40, 0.00001)


def test_a_run_begins_only_where_all_that_it_may_consume_is_left():
    run = Above(step("research", agent="lab"), role=lab(budget=SHARE), budget=BudgetPolicy(tokens=299))
    run.begin()
    held = run.machine.held(run.children["research"], run.tick())
    assert (held.gate, held.reason) == ("run_budget", "the run: its budget is 299 tokens, of which 299 tokens are left")


def test_its_share_bounds_the_run_below():
    run = Above(step("research", agent="lab"), role=lab(budget=BudgetPolicy(calls=1)), budget=BudgetPolicy(calls=5))
    run.begin()
    _, below = run.have("research")
    assert below.machine.held(below.calls["draft"], 9) is None
    below.start("draft")
    held = below.machine.held(below.calls["draft"], 9)
    whose = "its share of what the run above may consume"
    assert (held.gate, held.reason) == ("share", f"{whose}: its budget is 1 call, of which 0 calls are left")


def test_what_one_call_may_consume_of_its_share_its_own_team_says():
    run = Above(step("research", agent="lab"), role=lab(budget=SHARE))
    run.begin()
    started, below = run.have("research")
    assert below.machine.share == SHARE
    below = Below(started, run, budget=BudgetPolicy(calls=9, call_tokens=70, call_usd=7))
    assert below.machine.share == BudgetPolicy(3, 300, 30, call_tokens=70, call_usd=7)


def test_a_share_is_shared_again_with_runs_below():
    parent = e.Parent("q", "s", 1, 1, calls=4, usd=40)
    run = Above(step("research", agent="lab"), role=lab(budget=BudgetPolicy(calls=3, usd=30)), parent=parent)
    run.begin()
    run.have("research")
    assert run.machine.purse.ledger("its share of what the run above may consume").reserved.usd == 30


class Two(Above):
    """Two steps of teams under a budget that is enough for one of them at a time, the first of which is under way."""

    def __init__(self, *more, usd=50, share=30, policy=UNBOUNDED, **given):
        some = [step(name, agent="lab", writes=[f"found_by.{name}"]) for name in ("one", "two")]
        role = lab(policy, outputs={"found_by.{step}": "result"}, budget=BudgetPolicy(usd=share))
        super().__init__(*some, *more, role=role, budget=BudgetPolicy(usd=usd), **given)
        self.begin()
        self.first = self.have("one")[1]

    def held(self, step_id="two"):
        """What would be asked for is held, as its driver would tell."""
        return self.say(self.machine.held(self.children[step_id], self.tick()))

    def end(self, usd=0.0):
        """The first run ends."""
        self.first.say(e.QuestionAnswered(self.first.tick(), "draft", 1, "person:ann", "answer", "yes"))
        self.first.reply("draft", Reply(writes={"result": 1}, usage=Usage(usd=usd)))
        return self.hear(self.first)


SHARED = e.Parent("q", "s", 1, 1, calls=99, tokens=100)
FOUND = {"found_by.{step}": "result"}


def below_a_share(*steps, tokens=30, roles=None):
    """A run under a share of 100 tokens, 60 of which the run that does its first step has set aside, and is parked."""
    labs = (step(name, agent="lab", writes=[f"found_by.{name}"]) for name in ("one", "two", "three"))
    budget, role = BudgetPolicy(tokens=999, call_tokens=tokens), lab(outputs=FOUND, budget=BudgetPolicy(tokens=60))
    run = Above(*labs, *steps, role=role, roles=roles or {}, budget=budget, parent=SHARED)
    run.begin()
    first = run.have("one")[1]
    first.ask("draft")
    run.hear(first)
    return run


def hold_back(run, step_id):
    command = run.children.get(step_id) or run.calls[step_id]
    fact = run.machine.held(command, run.tick())
    assert fact.gate == "run_reservation"
    return run.say(fact)


def test_whoever_needs_less_goes_on_though_others_wait_before():
    small = lab(scope=Scope(["act"], ["topic"], ["less"]), outputs={"less": "result"}, budget=BudgetPolicy(tokens=10))
    run = below_a_share(step("tell"), step("less", agent="small"), tokens=35, roles={"small": small})
    run.start("tell")
    assert [hold_back(run, name) for name in ("two", "three", "less")] == [[], [], []]
    assert run.reply("tell", {"told": 1}) == ["less waits no more", "have small do less #1"]


def test_who_has_spent_a_budget_is_told_though_others_wait_for_another():
    bob = Role(Scope(["act"], ["*"], ["bob"]), ONCE, budget=BudgetPolicy(tokens=50, call_tokens=30))
    more = [step(f"bob-{i}", agent="bob", writes=[f"bob.{i}"]) for i in (1, 2)]
    run = below_a_share(step("tell"), *more, roles={"bob": bob})
    run.start("bob-1")
    assert [hold_back(run, name) for name in ("two", "three", "tell", "bob-2")] == [[], [], [], []]
    spent = run.reply("bob-1", Reply(writes={"bob.1": 1}, usage=Usage(40, 0)))
    assert spent == ["bob-2 waits no more", "call bob for bob-2 #1"]
    lacking = run.machine.held(run.calls["bob-2"], run.tick())
    assert lacking.gate == "agent_budget"
    told = run.say(lacking)
    assert (told[0].split(":")[0], told[1][:20]) == ("buried bob-2", "parked: one: run c w")


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("parks_first", [False, True])
def test_what_a_parked_run_has_set_aside_keeps_no_run_going_that_needs_it(crash, parks_first):
    run = Two()
    run.first.ask("draft", "May I?")
    if parks_first:
        assert run.hear(run.first) == (["ChildParked"], [])
        lines = run.held()
    else:
        assert run.held() == []
        lines = run.hear(run.first)[1]
    assert lines == ["parked: one: run c waits: draft asks: May I?"]
    assert (run.machine.status, run.states["two"]) == ("parked", "backing_off")
    if crash:
        assert run.again() == []
    assert run.end()[1] == ["two waits no more", "have lab do two #1"]
    assert run.machine.status == "running"
    assert run.machine.held(run.children["two"], run.tick()) is None


def test_a_run_that_is_parked_again_parks_the_one_above_at_once():
    run = Two()
    run.held()
    run.first.ask("draft", "May I?")
    run.hear(run.first)
    run.first.say(e.QuestionAnswered(run.first.tick(), "draft", 1, "person:ann", "answer", "yes"))
    run.first.ask("draft", "Really?")
    assert run.hear(run.first) == (["ChildParked"], ["parked: one: run c waits: draft asks: Really?"])


def test_a_deadline_is_not_forgotten_over_what_is_held():
    run = Two(step("tell", escalate={"deadline": "1h"}))
    run.first.ask("draft")
    run.hear(run.first)
    run.held()
    assert run.ask("tell") == ["parked: tell asks: Really?"]
    due_us = run.machine.questions[run.machine.number["tell"]].due_us
    assert f"wake tell at {due_us:,}" in run.end()[1]


def test_an_effect_under_way_keeps_a_run_going_beside_what_is_held():
    ann = Role(Scope(["act", "pay"], ["*"], ["told"]), ONCE, immediate=True)
    run = Two(step("tell"), roles={"ann": ann}, effects={"pay": EffectRule()})
    run.start("tell")
    run.say(e.EffectRequested(run.tick(), "tell", 1, "pay", "k", Raw(b"1")))
    run.begin_effect("tell", "k")
    run.first.ask("draft")
    run.hear(run.first)
    run.held()
    failed = e.AttemptFailed(run.tick(), "tell", 1, "error", "it broke", retryable=False)
    assert run.say(failed) == ["buried tell: it broke"]
    assert run.done("tell", "k") == ["parked: one: run c waits: draft asks: Really?"]


def test_whoever_can_go_on_keeps_a_run_going_beside_what_is_held():
    run = Two(step("tell"))
    run.first.ask("draft")
    run.hear(run.first)
    assert run.held() == []
    assert run.machine.status == "running"
    assert run.reply("tell", {"told": 1})[0].startswith("parked: one: run c waits")


def test_what_is_held_is_tried_again_as_soon_as_there_is_enough_and_no_sooner():
    run = Two(step("tell"), step("last", needs=["tell"]))
    assert run.held() == []
    assert run.reply("tell", {"told": 1}) == ["call ann for last #1"]
    assert run.machine.status == "running"
    run.first.ask("draft")
    assert run.end()[1] == ["two waits no more", "have lab do two #1"]


def test_what_was_held_and_is_under_way_by_now_keeps_its_run_going():
    run = Two(step("three", agent="lab", writes=["found_by.three"]), usd=80)
    three = run.have("three", "d")[1]
    assert run.held() == []
    run.first.reply("draft", {"result": 1})
    assert run.hear(run.first)[1] == ["two waits no more", "have lab do two #1"]
    run.have("two", "x")
    three.ask("draft")
    assert run.hear(three, "d") == (["ChildParked"], [])
    assert run.machine.status == "running"


def test_what_a_rate_holds_is_looked_at_again_while_a_run_is_parked():
    run = Two()
    assert run.say(e.CallHeld(run.tick(), "two", "lab", "rate", "it is full", 60_000_000)) == ["wake two at 60,000,000"]
    run.first.ask("draft")
    assert run.hear(run.first) == (["ChildParked"], [])
    assert run.machine.status == "running"


def test_a_step_that_was_not_tried_yet_waits_for_what_a_parked_run_has_set_aside_however_its_time_is_bounded():
    run = Two(policy=Policy(retries=5, timeout_ms=0, retry_for_ms=3_000))
    assert run.held() == []
    run.first.ask("draft")
    assert run.hear(run.first)[1][0].startswith("parked: one: run c waits")


def test_the_calls_of_a_run_are_paid_for_beside_those_of_runs_below():
    run = Two(step("tell"))
    run.reply("tell", Reply(writes={"told": 1}, usage=Usage(5, 6, 0.5)))
    assert run.machine.purse.usage == Usage(5, 6, 0.5)


def test_what_was_set_aside_and_is_spent_is_no_reason_to_wait():
    run = Two(step("three", agent="lab", writes=["found_by.three"]), usd=70)
    three = run.have("two", "d")[1]
    three.ask("draft")
    run.hear(three, "d")
    assert run.held("three") == []
    run.first.ask("draft")
    # Two are parked, and what both have set aside is waited for.
    assert run.hear(run.first)[1][0].startswith("parked: one: run c waits")
    assert run.end(usd=0.00005)[1] == ["three waits no more", "have lab do three #1"]
    assert run.machine.held(run.children["three"], run.tick()).gate == "run_budget"


def test_a_step_whose_time_to_be_tried_again_is_bounded_waits_no_longer_than_that():
    run = Two(policy=Policy(retries=5, timeout_ms=0, retry_for_ms=3_000))
    run.first.say(e.RunFinished(run.first.tick(), "failed", "no"))
    assert run.hear(run.first)[1][0].startswith("failed one #1: child_failed")
    second = run.have("two", "d")[1]
    second.ask("draft")
    run.hear(second, "d")
    assert run.held("one")[0].startswith("wake one at")
    assert run.machine.status == "running"


def test_calls_that_a_run_may_leave_are_waited_for_and_those_that_are_made_are_not():
    role = lab(outputs={"found_by.{step}": "result"}, budget=BudgetPolicy(calls=3))
    some = [step(name, agent="lab", writes=[f"found_by.{name}"]) for name in ("one", "two")]
    for most, gate in ((4, "run_reservation"), (3, "run_budget")):
        run = Above(*some, role=role, budget=BudgetPolicy(calls=most))
        run.begin()
        run.have("one")
        assert run.machine.held(run.children["two"], run.tick()).gate == gate


def test_the_hash_of_what_a_verdict_writes():
    assert hash_of(e.AttemptRefused(1, "a", 1, ())) == ""
    one = e.AttemptCommitted(1, "a", 1, {"x": Raw(b"1"), "y": Raw(b'{"b": 1}')})
    assert hash_of(one) == hash_of(e.AttemptCommitted(2, "b", 2, {"y": Raw(b'{"b":1}'), "x": Raw(b"1")}))
    assert hash_of(one) != hash_of(e.AttemptCommitted(1, "a", 1, {"x": Raw(b"2")}))
