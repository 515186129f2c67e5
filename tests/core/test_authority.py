"""A downstream agent can't undo an upstream decision that it has no permission for: each way, refused."""

from itertools import pairwise

import msgspec
import pytest

import interlock.core.events as e
from interlock.core.effects import EffectRule
from interlock.core.job import DELETE, Effect, Reply, Request
from interlock.core.plan import Plan
from interlock.core.policy import Policy
from interlock.core.redrive import change, taken_over
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope, Sharing
from interlock.errors import InputError, OwnershipError, PlanError, RaceError, TeamError

from .test_settlement import decide
from .transcripts import ONCE, Transcript, step

DECIDED = {"decision": {"refund": 80, "items": [1, 2]}, "notes": "refund it", "total": 5, "seen": {"ann": "yes"}}
REDUCERS = {"notes": "append", "total": "add", "seen": "merge"}
BOB = ["answer.*", "notes", "total", "seen"]


def role(*writes, actions=("act",), policy=ONCE, **given):
    return Role(Scope(list(actions), ["*"], list(writes)), policy, **given)


ROLES = {"ann": role("decision", "notes", "total", "seen"), "bob": role(*BOB)}


def decided_upstream(roles=ROLES, *more, effects=None, **downstream):
    """A run in which ann has decided, and in which it is bob's turn."""
    mine = step("decide", on_request=downstream.pop("on_request", {}))
    steps = [mine, step("use", agent="bob", needs=["decide"], **downstream), *more]
    run = Transcript(*steps, roles=roles, reducers=REDUCERS, effects=effects)
    run.begin()
    assert run.reply("decide", dict(DECIDED)) == ["call bob for use #1"]
    return run


def standing(run):
    return {path: run.context.get(path) for path in DECIDED}


BEFORE = {"decision": DECIDED["decision"], "notes": ["refund it"], "total": 5, "seen": {"ann": "yes"}}

WAYS = {
    "overwrite": {"decision": "no refund"},
    "overwrite of a part": {"decision.refund": 0},
    "delete": {"decision": DELETE},
    "delete of a part": {"decision.refund": DELETE},
    "a new part": {"decision.note": "ignore this"},
    "shadowing by a child": {"decision.refund.amount": 0},
    "an item of a list": {"decision.items.0": 7},
    "under another spelling": {'"decision".refund': 0},
    "delete under another spelling": {'"decision"': DELETE},
    "all at once": {"": {"decision": 0}},
    "by a pattern": {"*": 0},
    "a pattern below it": {"decision.*": 0},
    "beside what it may write": {"answer.text": "done", "decision": 0},
    "from a neighbour": {"answer": {"decision": 0}},
    "what a reducer has merged, deleted": {"notes": DELETE},
    "a sum, deleted": {"total": DELETE},
    "an object, deleted": {"seen": DELETE},
    "a key of a merged object, deleted": {"seen.ann": DELETE},
    "a key of a merged object, written": {"seen.ann": "no"},
    "a key of a merged object, given another value": {"seen": {"ann": "no"}},
    "an item of a merged list": {"notes.0": "don't"},
}


@pytest.mark.parametrize("writes", WAYS.values(), ids=WAYS)
def test_a_reply_does_not_undo_it(writes):
    run = decided_upstream()
    run.start("use")
    verdict = run.judge("use", writes)
    assert isinstance(verdict, e.AttemptRefused)
    assert {finding.code for finding in verdict.findings} <= {"scope", "reducer", "path"}
    run.say(verdict)
    assert standing(run) == BEFORE


def test_a_reply_adds_to_what_is_merged_and_takes_nothing_away():
    run = decided_upstream()
    assert run.reply("use", {"notes": [], "seen": {"bob": "too"}, "total": -5}) == ["succeeded"]
    assert standing(run) == BEFORE | {"notes": ["refund it", []], "seen": {"ann": "yes", "bob": "too"}, "total": 0}, (
        "a sum is what all give who may give to it"
    )


@pytest.mark.parametrize("given", ["decision", "decision.refund", "decision.*", "*"])
def test_a_team_that_lets_two_agents_decide_does_not_load(given):
    steps = [step("decide"), step("use", agent="bob", needs=["decide"])]
    with pytest.raises(OwnershipError, match="agents ann and bob both own decision"):
        Rules(Plan(steps), {"ann": role("decision"), "bob": role(given)})


def test_a_parent_is_not_written_by_whoever_owns_a_child():
    run = Transcript(
        step("decide", writes=["case.decision"]),
        step("use", agent="bob", needs=["decide"]),
        roles={"ann": role("case.decision"), "bob": role("case.answer")},
    )
    run.begin()
    run.reply("decide", {"case.decision": 80})
    run.start("use")
    for answer in ({"case": {"answer": "x"}}, {"case": DELETE}, {"case.answer": 1, "case": DELETE}):
        assert isinstance(run.judge("use", answer), e.AttemptRefused)
    run.reply("use", {"case.answer": {"decision": 0}})
    assert run.context == {"case": {"decision": 80, "answer": {"decision": 0}}}


def test_what_it_was_shown_is_a_copy():
    run = decided_upstream()
    run.start("use")
    shown = run.jobs["use"].view["decision"]
    shown["refund"] = 0
    shown["items"].clear()
    assert run.jobs["use"].view["decision"] == DECIDED["decision"]
    run.reply("use", {})
    assert standing(run) == BEFORE


# --- its output, its effects, its requests ---


def test_an_effect_writes_nothing_and_is_one_of_its_own():
    effects = {"refund": EffectRule(), "mail": EffectRule()}
    roles = {"ann": role(*DECIDED, actions=("act", "refund")), "bob": role(*BOB, actions=("act", "mail"))}
    run = decided_upstream(roles, effects=effects)
    run.start("use")
    assert isinstance(run.judge("use", Reply(effects=[Effect("refund", {"amount": -80})])), e.AttemptRefused)
    run.reply("use", Reply(effects=[Effect("mail", {"decision": 0})], output={"decision": 0}))
    run.begin_effect("use", "mail")
    assert run.done("use", "mail", {"decision": 0}) == ["succeeded"]
    assert standing(run) == BEFORE


def test_a_key_of_an_effect_is_that_of_its_own_step():
    effects = {"mail": EffectRule()}
    roles = {name: role(*given.scope.write_permissions, actions=("act", "mail")) for name, given in ROLES.items()}
    run = Transcript(step("decide"), step("use", agent="bob", needs=["decide"]), roles=roles, effects=effects,
                     reducers=REDUCERS)  # fmt: skip
    run.begin()
    run.reply("decide", Reply(writes=dict(DECIDED), effects=[Effect("mail", "refunded", key="k")]))
    run.begin_effect("decide", "k")
    run.done("decide", "k")
    run.reply("use", Reply(effects=[Effect("mail", "not refunded", key="k")]))
    n = run.machine.number["decide"]
    assert run.machine.ledger.entry(n, "k").standing == "done"
    assert bytes(run.machine.ledger.entry(n, "k").payload) == b'"refunded"'


def test_a_request_runs_nothing_again_and_only_what_comes_after():
    roles = ROLES | {"bob": role(*BOB, actions=("act", "decide_again"))}
    run = decided_upstream(roles)
    run.start("use")
    for to in ("ann", "decide"):
        assert isinstance(run.judge("use", Reply(request=Request("decide_again", to))), e.AttemptRefused)
    with pytest.raises(PlanError, match="step use runs decide on request, which does not come after it"):
        Plan([step("decide"), step("use", needs=["decide"], on_request={"decide_again": "decide"})])


# --- whoever stands in ---


def test_a_fallback_has_its_own_scope_and_no_more():
    roles = {"ann": ROLES["ann"], "bob": msgspec.structs.replace(ROLES["bob"], fallback="eve"), "eve": role("answer.*")}
    run = decided_upstream(roles)
    run.refuse("use")
    run.start("use")
    assert run.calls["use"].agent == "eve"
    assert isinstance(run.judge("use", {"decision": 0}), e.AttemptRefused)


def refusal(*steps, **roles):
    with pytest.raises(OwnershipError) as raised:
        Rules(Plan(steps), roles)
    return raised.value


def test_a_fallback_does_not_decide_again_in_a_step_of_its_own():
    """It may write what it stands in for, and a step of its own comes later."""
    ann, eve = role("decision", fallback="eve"), role("decision", "answer")
    decide, use = step("decide"), step("use", agent="eve", needs=["decide"])
    found = refusal(decide, use, ann=ann, eve=eve)
    assert found.sentence == (
        "in step use, eve may write decision, which ann decides in step decide: it stands in for ann in its steps alone"
    )
    assert found.fix == "narrow the writes of step use, or declare the succession of decision"
    assert (found.place, found.agents, found.paths) == (("plan", "use", "writes"), ("ann", "eve"), ("decision",))

    Rules(Plan([decide, msgspec.structs.replace(use, writes=["answer"])]), {"ann": ann, "eve": eve})
    Rules(Plan([decide, use]), {"ann": ann, "eve": eve}, Sharing(succession={"decision": ["ann", "eve"]}))


def test_a_fallback_of_two_does_not_decide_for_the_one_in_a_step_of_the_other():
    ann, bob = role("decision", fallback="eve"), role("answer", fallback="eve")
    eve = role("decision", "answer")
    decide, use = step("decide", writes=["decision"]), step("use", agent="bob", needs=["decide"])
    found = refusal(decide, use, ann=ann, bob=bob, eve=eve)
    assert found.sentence == (
        "in step use, for bob, eve may write decision, which ann decides in step decide: it stands in for ann in its"
        " steps alone"
    )
    Rules(Plan([decide, msgspec.structs.replace(use, writes=["answer"])]), {"ann": ann, "bob": bob, "eve": eve})


def test_a_chain_of_fallbacks_is_one_owner_in_its_own_step():
    roles = {"ann": role("d", fallback="bob"), "bob": role("d", fallback="eve"), "eve": role("d")}
    Rules(Plan([step("one"), step("two", needs=["one"])]), roles)
    found = refusal(step("one"), step("two", agent="bob", needs=["one"]), **roles)
    assert found.sentence.startswith("in step two, bob may write d, which ann decides in step one")


def test_a_usurper_is_named_once_for_each_agent_whose_fields_it_takes():
    ann, eve = role("d", "f", fallback="eve"), role("d", "f")
    steps = [step("one"), step("two", agent="eve", needs=["one"]), step("three", agent="eve", needs=["two"])]
    found = refusal(*steps, ann=ann, eve=eve)
    assert (found.problems, found.place, found.paths) == ((found,), ("plan", "two", "writes"), ("d",))


def test_a_fallback_does_not_decide_beforehand_either():
    ann, eve = role("decision", fallback="eve"), role("decision")
    found = refusal(step("use", agent="eve"), step("decide", needs=["use"]), ann=ann, eve=eve)
    assert found.sentence.startswith("in step use, eve may write decision, which ann decides in step decide")


def test_who_merges_undoes_nothing():
    roles = {"ann": role("log", fallback="eve"), "eve": role("log")}
    Rules(Plan([step("one"), step("two", agent="eve", needs=["one"])]), roles, Sharing(reducers={"log": "append"}))


# --- owners one after another, and at once ---


def test_an_earlier_owner_does_not_come_back():
    steps = [step("one"), step("two", agent="bob", needs=["one"]), step("three", needs=["two"])]
    sharing = Sharing(succession={"draft": ["ann", "bob"]})
    with pytest.raises(PlanError, match="step two of bob may write draft before its earlier owners are done with it"):
        Rules(Plan(steps), {"ann": role("draft"), "bob": role("draft")}, sharing)


def test_who_is_not_downstream_races():
    steps = [step("one", writes=["d"]), step("two", writes=["d.x"])]
    with pytest.raises(RaceError):
        Rules(Plan(steps), {"ann": role("d")})
    steps = [step("one", writes=["d"]), step("two", needs=["one"], writes=["d.x"])]
    Rules(Plan(steps), {"ann": role("d")})  # an agent may change its own mind


# --- people ---


def waiting(**given):
    """The same, where bob's attempts are used up and a person is asked."""
    run = decided_upstream(escalate=True, **given)
    refused = {"seen": {"ann": "no"}, "answer.text": "done"}
    assert run.reply("use", refused)[0].startswith("escalated use: ")
    return run


@pytest.mark.parametrize(
    ("verb", "given", "why"),
    [
        ("approve", {}, "seen (merge): the key 'ann' has another value already"),
        ("edit", {"writes": {"decision": 0}}, "bob may not write decision"),
        ("write", {"writes": {"decision": 0}}, "bob may not write decision"),
    ],
)
def test_a_person_decides_within_the_scope_of_the_step(verb, given, why):
    run = waiting()
    told = decide(run, "use", verb, reason="trust me", **given)
    assert told[0].startswith(why), told
    assert run.states["use"] == "escalated", "the question is open still"
    assert standing(run) == BEFORE


def test_a_person_deletes_nothing_either():
    run = waiting()
    assert decide(run, "use", "write", writes={"decision": DELETE}, reason="x")[0].startswith("bob may not write")
    assert decide(run, "use", "write", writes={"notes": DELETE}, reason="x")[0].startswith("notes can't be deleted")
    assert standing(run) == BEFORE


def test_a_default_is_within_the_scope_of_the_step():
    escalate = {"deadline": "1h", "then": "default", "default": {"decision": 0}}
    with pytest.raises(TeamError, match="step use may not write decision, which its default has"):
        decided_upstream(escalate=escalate)


def test_a_fork_changes_what_its_writer_could_have_written():
    run = decided_upstream(ROLES, step("last", agent="bob", needs=["use"], writes=["answer.last"]))
    run.reply("use", {"answer.text": "done"})
    run.refuse("last")
    events = [*map(e.decode, run.journal)]
    facts = taken_over(run.machine, "run", events, ["last"], 0)
    request = events[0].request
    change(run.machine, request, facts, "last", "decision.refund", 40)
    shared = {fact.step: fact for fact in facts}
    assert (shared["decide"].changed, shared["use"].changed) == (("decision.refund",), ()), "it is told as changed"
    with pytest.raises(InputError, match="several steps write it, and it is merged"):
        change(run.machine, request, facts, "last", "notes", [])


def test_no_permission_comes_from_the_order_of_steps():
    """However far downstream, a scope is a scope."""
    names = ["use", "b", "c", "d"]
    more = [step(name, agent="bob", needs=[before]) for before, name in pairwise(names)]
    run = decided_upstream(ROLES, *more)
    for name in names[:-1]:
        run.reply(name, {})
    run.start("d")
    assert isinstance(run.judge("d", {"decision": 0}), e.AttemptRefused)


def test_a_step_that_may_be_tried_again_is_held_to_the_same():
    roles = ROLES | {"bob": role(*BOB, policy=Policy(retries=2))}
    run = decided_upstream(roles)
    for _ in range(2):
        assert run.reply("use", {"decision": 0})[0].startswith("call bob for use")
        run.start("use")
        assert run.jobs["use"].feedback[0].startswith("bob may not write decision; it may write answer.*")
        assert run.crash()[0].startswith("call bob for use")
    assert run.reply("use", {"answer.text": "done"}) == ["succeeded"]
    assert standing(run) == BEFORE
