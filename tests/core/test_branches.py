"""Requests: a branch runs where its request was granted, is skipped where it wasn't, and nobody overreaches."""

import msgspec
import pytest

import interlock.core.events as e
from interlock.core.branches import REQUEST_CHARS_MAX
from interlock.core.job import Question, Reply, Request
from interlock.core.plan import Plan
from interlock.core.policy import Policy
from interlock.core.redrive import taken_over
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.errors import PlanError, TeamError

from .transcripts import ONCE, Transcript, step

ESCALATE = Request("escalate", "bob")
ROLES = {
    "ann": Role(Scope(["act", "escalate", "hand_over"], ["*"], ["a.*", "a"]), Policy(retries=1), fallback="eve"),
    "eve": Role(Scope(["act", "hand_over"], ["*"], ["a.*", "a"]), ONCE),
    "bob": Role(Scope(["act"], ["*"], ["b.*", "b"]), ONCE),
}


def branching(*more, roles=None, **given):
    """A run whose step `a` may have `b` go on."""
    asking = step("a", writes=["a"], on_request={"escalate": "b", "hand_over": "b"}, **given)
    return Transcript(asking, step("b", agent="bob", needs=["a"], writes=["b"]), *more, roles=roles or ROLES)


def asks(request, **writes):
    return Reply(writes=writes, request=request)


def refused(request, run=None):
    """The one sentence that an agent is told, whose request is refused with all of its reply."""
    run = run or begun()
    (finding,) = run.judge("a", asks(request, a=1)).findings
    assert finding.code == "request"
    return finding.message


def begun(**given):
    run = branching(**given)
    run.begin()
    run.start("a")
    return run


# --- what a request does ---


def test_a_branch_runs_once_its_request_is_committed():
    run = branching()

    assert run.begin() == ["call ann for a #1"], "the branch waits"
    assert run.reply("a", asks(ESCALATE, a=1)) == ["call bob for b #1"]
    assert run.context == {"a": 1}, "one event has both"
    assert e.decode(run.journal[-1]).request == e.BranchRequested("escalate", "bob", "b")
    assert run.reply("b") == ["succeeded"]


def test_a_branch_that_nobody_requested_is_skipped_and_says_so():
    run = branching(step("c", agent="bob", needs=["b"], writes=["b"]))
    run.begin()

    assert run.reply("a", a=1) == ["skipped b: it was not requested by a", "succeeded"]
    assert run.states == {"a": "committed", "b": "skipped", "c": "skipped"}, "what only it leads to is skipped as well"


def test_the_step_may_be_named_in_place_of_its_agent():
    run = branching()
    run.begin()
    run.reply("a", asks(Request("hand_over", "b")))
    assert e.decode(run.journal[-1]).request == e.BranchRequested("hand_over", "bob", "b"), "told by one name"
    assert run.states["b"] == "ready"


def test_an_agent_is_told_what_it_may_request():
    run = begun()
    assert run.jobs["a"].requests == (ESCALATE, Request("hand_over", "bob"))
    run.reply("a", asks(run.jobs["a"].requests[0]))
    run.start("b")
    assert run.jobs["b"].requests == ()


def test_a_request_outlives_a_crash():
    run = branching()
    run.begin()
    run.reply("a", asks(ESCALATE))
    assert run.crash() == ["call bob for b #1"]


def test_what_is_no_request_makes_the_same_event_as_ever():
    event = e.AttemptCommitted(1, "a", 1)
    assert b"request" not in e.encode(event)
    assert b"request" not in e.encode(e.StepShared(1, "a", 1, "ann"))
    assert b"on_request" not in msgspec.json.encode(step("a"))


def test_one_of_several_requesters_suffices():
    roles = {"ann": Role(Scope(["act", "escalate"], ["*"], ["*"]), ONCE)}
    branch = step("b", needs=["a", "c"], writes=["b"])
    asking = step("a", samples=2, writes=["a.{step}"], on_request={"escalate": "b"})
    run = Transcript(asking, step("c", writes=["c"], on_request={"escalate": "b"}), branch, roles=roles)
    run.begin()
    run.reply("a-1")
    run.reply("a-2", asks(Request("escalate", "b")))
    assert run.reply("c") == ["call ann for b #1"]


@pytest.mark.parametrize(("asking", "told"), [(3, "a0 or a1 or a2"), (4, "a0 or a1 or a2 or others")])
def test_all_who_might_have_requested_a_branch_are_told_within_bounds(asking, told):
    roles = {"ann": Role(Scope(["act", "escalate"], ["*"], ["*"]), ONCE)}
    names = [f"a{n}" for n in range(asking)]
    steps = [step(name, writes=[name], on_request={"escalate": "b"}) for name in names]
    run = Transcript(*steps, step("b", needs=names, writes=["b"]), roles=roles)
    run.begin()
    said = [line for name in names for line in run.reply(name)]
    assert said == [f"skipped b: it was not requested by {told}", "succeeded"]


def test_a_branch_of_copies_and_of_items():
    roles = {"ann": Role(Scope(["act", "escalate", "list"], ["*"], ["*"]), ONCE)}
    run = Transcript(
        step("a", writes=["list"], on_request={"escalate": "b", "list": "c"}),
        step("b", needs=["a"], samples=2, writes=["b.{step}"]),
        step("c", needs=["a"], for_each="list", writes=["c.{step}"]),
        roles=roles,
    )
    run.begin()
    assert run.reply("a", asks(Request("list", "c"), list=[1])) == [
        "skipped b-1: it was not requested by a",
        "skipped b-2: it was not requested by a",
        "expanded c [1]",
        "call ann for c-0 #1",
    ]


def test_an_item_may_request_what_comes_after_all_items():
    roles = {"ann": Role(Scope(["act", "escalate"], ["*"], ["*"]), ONCE)}
    asking = step("a", for_each="list", writes=["a.{step}"], on_request={"escalate": "b"})
    run = Transcript(asking, step("b", needs=["a"], writes=["b"]), roles=roles, request={"list": [1, 2]})
    run.begin()
    run.reply("a-0")
    assert run.reply("a-1", asks(Request("escalate", "b"))) == ["call ann for b #1"]


def test_a_condition_must_hold_as_well():
    roles = {"ann": Role(Scope(["act", "escalate"], ["*"], ["*"]), ONCE)}
    branch = step("b", needs=["a"], writes=["b"], when={"path": "a", "op": "==", "value": 1})
    run = Transcript(step("a", writes=["a"], on_request={"escalate": "b"}), branch, roles=roles)
    run.begin()
    assert run.reply("a", asks(Request("escalate", "b"), a=2))[0].startswith("skipped b: its condition did not hold")


def test_a_fork_takes_a_request_over():
    def forking():
        cid = Role(Scope(["act"], ["*"], ["c", "d"]), ONCE)
        more = (
            step("c", agent="cid", needs=["a"], writes=["c"]),
            step("d", agent="cid", needs=["b", "c"], writes=["d"]),
        )
        return branching(*more, roles={**ROLES, "cid": cid})

    def shares(run):
        return taken_over(run.machine, "run", [*map(e.decode, run.journal)], ["b"], 0)

    run = forking()
    run.begin()
    run.reply("a", asks(ESCALATE, a=1))
    run.refuse("b")
    run.reply("c")
    shared = {fact.step: fact.request for fact in shares(run)}
    assert shared == {"a": e.BranchRequested("escalate", "bob", "b"), "c": None}

    fork = forking()
    assert fork.say(e.RunStarted(0, msgspec.Raw(b"{}"), "team", "plan"), *shares(run)) == ["call bob for b #1"]
    assert {fact.step: fact.request for fact in shares(fork)} == shared, "a fork of the fork has it, too"


# --- what is refused ---


@pytest.mark.parametrize(
    "request_",
    [
        "escalate",
        {"action": "escalate", "to": "bob"},
        ("escalate", "bob"),
        Request("escalate", None),
        Request("", "bob"),
        Request("escalate", ""),
        Request("escalate", "b" * (REQUEST_CHARS_MAX + 1)),
        Request("e" * (REQUEST_CHARS_MAX + 1), "bob"),
        Request(type("Text", (str,), {})("escalate"), "bob"),
        type("Order", (Request,), {})("escalate", "bob"),
        False,
    ],
)
def test_what_is_no_request_is_refused_with_the_writes(request_):
    run = begun()
    assert refused(request_, run) == (
        "request is no interlock.Request with an action and to, texts of 1 to 200 characters"
    )
    run.reply("a", asks(request_, a=1))
    assert run.context == {}
    assert run.states == {"a": "ready", "b": "waiting"}


def test_an_action_without_a_branch_is_refused():
    assert refused(Request("refund", "bob")) == (
        "ann may not request 'refund' in this step; it may request escalate of bob, hand_over of bob"
    )
    assert refused(Request("act", "bob")).startswith("ann may not request 'act' in this step"), "not even its own"


def test_what_is_requested_may_have_a_name_of_200_characters():
    assert "may not request 'eee" in refused(Request("e" * REQUEST_CHARS_MAX, "b" * REQUEST_CHARS_MAX))


def test_a_branch_is_requested_of_whom_it_has():
    assert refused(Request("escalate", "eve")) == "escalate is requested of bob (step b), not 'eve'"
    assert refused(Request("escalate", "a")) == "escalate is requested of bob (step b), not 'a'"


def test_a_step_without_branches_grants_none():
    run = Transcript(step("a"))
    run.begin()
    run.start("a")
    assert refused(ESCALATE, run) == "ann may not request 'escalate' in this step; it may request nothing"


def test_what_an_agent_makes_up_is_told_in_bounds_and_in_unicode():
    message = refused(Request("\ud800" + "x" * (REQUEST_CHARS_MAX - 1), "bob"))
    assert message.encode()
    assert len(message) < 2 * REQUEST_CHARS_MAX


def test_a_fallback_requests_what_its_own_scope_allows():
    """The step declares the branch; its fallback stands in for the work, not for the authority."""
    run = begun()
    run.refuse("a")
    run.refuse("a")
    run.start("a")
    assert run.calls["a"].agent == "eve"
    assert run.jobs["a"].requests == (Request("hand_over", "bob"),)
    assert refused(ESCALATE, run) == "eve may not request 'escalate' in this step; it may request hand_over of bob"
    run.say(run.judge("a", asks(Request("hand_over", "bob"), a=1)))
    assert run.states["b"] == "ready"


def test_a_question_comes_without_a_request():
    run = begun()
    (finding,) = run.judge("a", Reply(ask=Question("Really?"), request=ESCALATE)).findings
    assert finding.message.endswith("and comes without writes, effects and a request")


def test_a_request_of_a_refused_reply_is_not_made():
    run = begun()
    run.reply("a", asks(ESCALATE, b=1))
    assert run.states == {"a": "ready", "b": "waiting"}
    assert run.reply("a", a=1)[0] == "skipped b: it was not requested by a"


def test_a_person_who_approves_a_refused_reply_makes_no_request():
    ann = msgspec.structs.replace(ROLES["ann"], policy=ONCE, fallback=None)
    roles = {"ann": ann, "bob": ROLES["bob"]}
    run = branching(roles=roles, escalate=True)
    run.begin()
    run.reply("a", asks(Request("escalate", "eve"), a=1))
    answered = e.QuestionAnswered(run.tick(), "a", 1, "person:ann", "approve", writes={"a": msgspec.Raw(b"1")})
    assert run.say(answered) == ["skipped b: it was not requested by a", "succeeded"]


# --- what is no plan ---


def problem(*steps, roles=ROLES):
    with pytest.raises(TeamError) as raised:
        Rules(Plan(steps), roles)
    return raised.value


def test_a_branch_is_a_step():
    found = problem(step("a", writes=["a"], on_request={"escalate": "bb"}), step("b", agent="bob", needs=["a"]))
    assert found.message.startswith("step a runs bb on request, which is no step; did you mean b?")
    assert found.place == ("plan", "a", "on_request", "escalate")


@pytest.mark.parametrize("branch", ["a", "b", "before"])
def test_a_branch_comes_after_whoever_requests_it(branch):
    steps = [
        step("before", agent="bob", writes=["b.c"]),
        step("a", needs=["before"], writes=["a"], on_request={"escalate": branch}),
        step("b", agent="bob", writes=["b.d"]),
    ]
    found = problem(*steps)
    assert found.sentence == f"step a runs {branch} on request, which does not come after it"
    assert found.fix == f"let {branch} need a"


def test_a_branch_comes_after_every_copy_of_whoever_requests_it():
    asking = step("a", samples=2, writes=["a.{step}"], on_request={"escalate": "b"})
    found = problem(asking, step("b", agent="bob", needs=["a-1"], writes=["b"]))
    assert found.sentence == "step a runs b on request, which does not come after it"


def test_somebody_must_be_allowed_to_request_a_branch():
    asking = step("a", writes=["a"], on_request={"escalat": "b"})
    found = problem(asking, step("b", agent="bob", needs=["a"], writes=["b"]))
    assert found.sentence == "step a: ann and eve may not request escalat; did you mean escalate?"
    assert found.fix == "allowed_actions of ann: act, escalate, hand_over"
    assert (found.place, found.agents) == (("plan", "a", "on_request", "escalat"), ("ann", "eve"))


def test_who_is_allowed_nothing_requests_no_branch():
    asking = step("a", writes=["a"], on_request={"escalate": "b"})
    found = problem(asking, step("b", needs=["a"]), roles={"ann": Role(Scope([], ["*"], ["*"]))})
    assert [one.fix for one in found.problems if one.place[2:] == ("on_request", "escalate")] == [
        "allowed_actions of ann: nothing"
    ]


@pytest.mark.parametrize("wrong", ["b", ["escalate"], None])
def test_branches_are_a_mapping(wrong):
    with pytest.raises(PlanError, match="on_request of step a is a"):
        step("a", on_request=wrong)


@pytest.mark.parametrize("wrong", [{"escalate": ["b"]}, {1: "b"}, {"escalate": None}])
def test_branches_are_named(wrong):
    with pytest.raises(PlanError, match="on_request of step a holds something that is not a string"):
        step("a", on_request=wrong)


def test_a_plan_keeps_its_own_branches():
    mine = {"escalate": "b"}
    made = Step("a", "ann", "act", on_request=mine)
    mine["escalate"] = "c"
    assert made.on_request == {"escalate": "b"}


def test_branches_are_part_of_a_plans_hash():
    asking = step("a", on_request={"escalate": "b"})
    assert Plan([asking, step("b", needs=["a"])]).hash != Plan([step("a"), step("b", needs=["a"])]).hash


def test_requests_race_nobody():
    """A branch counts as if it ran: whether it does is known only then."""
    roles = {"ann": Role(Scope(["act", "escalate"], ["*"], ["*"]), ONCE)}
    asking = step("a", writes=["a"], on_request={"escalate": "b"})
    found = problem(asking, step("b", needs=["a"], writes=["x"]), step("c", needs=["a"], writes=["x"]), roles=roles)
    assert found.message.startswith("steps b and c may run at the same time and may both write x")
