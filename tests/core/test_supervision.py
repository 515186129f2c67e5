"""A supervisor that is asked after each step; what it drops, what it may give itself, and who decides at its bounds."""

import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core.effects import EffectRule
from interlock.core.guardrail import Judge
from interlock.core.job import Reply
from interlock.core.policy import Escalation, Policy
from interlock.core.redrive import taken_over
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.supervision import SupervisorPolicy, supervisor_of
from interlock.errors import TeamError

from .test_deciding import EVE, adding, new, supervised, told
from .test_guardrail import Says
from .test_judging import guard
from .test_settlement import decide
from .transcripts import ONCE, Transcript, step

NOTHING = Reply(output={"add": []})


def dropping(*ids):
    return Reply(output={"drop": [*ids]})


# --- after each step ---


def side_by_side(**more):
    return supervised(
        step("x", writes=["a.x"]), step("y", writes=["a.y"]), step("z", needs=["x", "y"], writes=["a.z"]),
        ask="each", **more,
    )  # fmt: skip


def test_it_is_asked_after_each_step_while_others_go_on():
    run = side_by_side()
    assert run.begin() == ["call ann for x #1", "call ann for y #1"]
    run.start("x", "y")
    assert run.reply("x", {"a.x": 1}) == ["called for decide-1 after x", "call eve for decide-1 #1"]
    run.start("decide-1")
    progress = run.jobs["decide-1"].progress
    assert [one["id"] for one in progress["done"]] == ["x"]
    assert progress["open"] == [
        {"id": "y", "agent": "ann", "action": "act", "begun": True},
        {"id": "z", "agent": "ann", "action": "act", "begun": False},
    ]
    # What ends while it thinks is decided about next, once.
    assert run.reply("y", {"a.y": 1}) == ["call ann for z #1"]
    lines = run.reply("decide-1", adding(new("w", writes=["a.w"])))
    assert lines == [
        "decide-1 adds w",
        "called for decide-2 after x y decide-1",
        "call ann for w #1",
        "call eve for decide-2 #1",
    ]
    run.crash()
    assert run.reply("decide-2", NOTHING) == ["decide-2 adds nothing"]
    assert run.reply("z", {"a.z": 1})[0] == "called for decide-3 after x y z decide-1 decide-2"
    run.reply("decide-3", NOTHING)
    assert run.reply("w", {"a.w": 1})[0].startswith("called for decide-4")
    assert run.reply("decide-4", {"finish": {"answer": "done"}}) == ["decide-4 finishes", "succeeded"]
    folded = run.fold()
    assert (folded.state, folded.number) == (run.machine.state, run.machine.number)


def test_what_it_adds_is_proved_against_what_is_under_way():
    run = side_by_side()
    run.begin()
    run.start("x", "y")
    run.reply("x", {"a.x": 1})
    [found] = told(run, adding(new("w", writes=["a.y"])))
    assert found.startswith("$.add[0].writes (step w): steps y and w may run at the same time and may both write a.y")


def test_what_waits_may_be_dropped():
    run = side_by_side()
    run.begin()
    run.start("x", "y")
    run.reply("x", {"a.x": 1})
    assert told(run, dropping("y", "q", 7, "decide-1", ["z"])) == [
        "$.drop[0]: y did not wait any more",
        "$.drop[1]: q is no step of the plan",
        "$.drop[2]: 7 is no step of the plan",
        "$.drop[3]: decide-1 is no step of the plan",
        "$.drop[4]: a text of 5 characters is no step of the plan",
    ]
    assert run.reply("decide-1", dropping("z")) == ["decide-1 adds nothing, drops z"]
    # It ends when it is its turn: before that, what it needs may still be under way.
    assert run.states["z"] == "waiting"
    assert run.reply("y", {"a.y": 1})[0] == "called for decide-2 after x y z decide-1"
    assert (run.states["z"], run.machine.reasons[run.machine.number["z"]]) == ("skipped", "dropped by decide-1")
    assert run.fold().state == run.machine.state


def test_what_had_its_turn_when_the_decision_was_called_did_not_wait():
    run = supervised(
        step("y", writes=["a.y"]), step("x", writes=["a.x"]), step("w", writes=["a.w"]),
        step("z", needs=["x"], writes=["a.z"]), ask="each",
    )  # fmt: skip
    run.begin()
    run.start("y", "w")
    run.reply("x", {"a.x": 1})
    run.start("decide-1")
    assert run.jobs["decide-1"].progress["open"] == [
        {"id": id_, "agent": "ann", "action": "act", "begun": True} for id_ in ("y", "w", "z")
    ]
    assert told(run, dropping("x", "z")) == [f"$.drop[{n}]: {id_} did not wait any more" for n, id_ in enumerate("xz")]


def test_of_many_ids_none_is_looked_at():
    run = side_by_side()
    run.begin()
    run.reply("x", {"a.x": 1})
    many = [str(n) for n in range(1_001)]
    assert told(run, dropping(*many)) == ["$.drop: there are 1,001 ids; 1,000 at most"]
    run = side_by_side()
    run.begin()
    run.reply("x", {"a.x": 1})
    assert told(run, dropping(*many[1:]))[0] == "$.drop[0]: 1 is no step of the plan"


def test_what_comes_after_a_dropped_step_sees_all_that_comes_before_it():
    plan = [step("x", writes=["a.x"]), step("y", needs=["x"], writes=["a.y"]), step("w", writes=["a.w"])]
    run = supervised(
        *plan, step("z", needs=["y", "w"], writes=["a.z"]), step("v", needs=["z"], writes=["a.v"]), ask="each"
    )
    run.begin()
    run.start("x", "w")
    run.reply("w", {"a.w": 1})
    assert run.reply("decide-1", dropping("y", "v")) == ["decide-1 adds nothing, drops y, v"]
    assert run.states["z"] == "waiting"
    lines = run.reply("x", {"a.x": 1})
    assert lines == ["called for decide-2 after x y w decide-1", "call ann for z #1", "call eve for decide-2 #1"]
    run.start("z")
    assert run.jobs["z"].view["a"] == {"w": 1, "x": 1}
    run.reply("z", {"a.z": 1})
    assert run.states["v"] == "skipped"


def test_what_needs_nothing_but_dropped_steps_is_skipped_with_them():
    plan = [step("x", writes=["a.x"]), step("w", writes=["a.w"]), step("y", needs=["x"], writes=["a.y"])]
    run = supervised(*plan, step("z", needs=["y"], writes=["a.z"]), step("v", needs=["z", "w"]), ask="each")
    run.begin()
    run.start("x", "w")
    run.reply("w", {"a.w": 1})
    run.reply("decide-1", dropping("y"))
    run.reply("x", {"a.x": 1})
    assert [run.states[name] for name in "yzv"] == ["skipped", "skipped", "ready"]


def test_what_was_added_and_needs_nothing_but_dropped_steps_is_skipped_with_them():
    run = side_by_side()
    run.begin()
    run.start("x", "y")
    run.reply("x", {"a.x": 1})
    chain = [new(one, need) for one, need in ("uy", "tu", "st")]
    run.reply("decide-1", adding(*chain, new("r", "u", "x"), new("q")))
    run.reply("q", {"a.q": 1})
    assert run.reply("decide-2", dropping("u")) == ["decide-2 adds nothing, drops u"]
    run.reply("y", {"a.y": 1})
    assert [run.states[name] for name in "utsr"] == ["skipped", "skipped", "skipped", "ready"]
    assert run.machine.reasons[run.machine.number["t"]] == "every step it needs was skipped"
    assert run.fold().state == run.machine.state


def test_what_is_added_after_a_step_that_was_skipped_already_is_done():
    run = side_by_side()
    run.begin()
    run.start("x", "y")
    run.reply("x", {"a.x": 1})
    run.reply("decide-1", dropping("z"))
    run.reply("y", {"a.y": 1})
    assert run.states["z"] == "skipped"
    lines = run.reply("decide-2", adding(new("u", "z"), new("t", "u")))
    assert "call ann for u #1" in lines
    assert run.fold().state == run.machine.state
    assert run.reply("u", {"a.u": 1})[-2:] == ["call ann for t #1", "call eve for decide-3 #1"]


def test_to_finish_drops_all_that_waits():
    run = side_by_side()
    run.begin()
    run.start("x", "y")
    run.reply("x", {"a.x": 1})
    assert run.reply("decide-1", {"finish": {"answer": "enough"}}) == ["decide-1 finishes, drops z"]
    assert run.reply("y", {"a.y": 1}) == ["succeeded"]


def test_what_has_started_meanwhile_is_not_dropped():
    run = side_by_side()
    run.begin()
    run.start("x", "y")
    run.reply("x", {"a.x": 1})
    run.start("decide-1")
    verdict = run.judge("decide-1", dropping("z"))
    run.reply("y", {"a.y": 1})
    assert run.say(verdict)[0] == "decide-1 adds nothing"


def test_who_adds_nothing_is_asked_as_long_as_something_commits():
    run = supervised(*(step(f"s{n}", writes=[f"a.s{n}"]) for n in range(3)), ask="each", no_progress_max=1)
    run.begin()
    for n in range(3):
        run.reply(f"s{n}", {f"a.s{n}": 1})
        last = run.reply(f"decide-{n + 1}", NOTHING)
    assert last == ["decide-3 adds nothing", "failed: the last decision has come to nothing"]


def test_what_it_knew_to_have_committed_is_no_progress():
    run = supervised(step("x", writes=["a.x"]), step("y", writes=["a.y"]), ask="each", no_progress_max=1)
    run.begin()
    run.start("x", "y")
    run.reply("x", {"a.x": 1})
    run.reply("decide-1", NOTHING)
    lines = run.say(e.AttemptFailed(run.tick(), "y", 1, "error", "it broke", retryable=True))
    assert lines[-1] == "failed: the last decision has come to nothing"


def test_it_hears_of_what_was_given_up_while_others_go_on():
    run = side_by_side()
    run.begin()
    run.start("y")
    assert run.fail("x")[0] == "buried x: it broke"
    assert e.decode(run.journal[-1]).needs == ("x",)


def test_in_a_fork_it_hears_of_what_is_shared():
    run = side_by_side()
    run.begin()
    run.start("x", "y")
    run.reply("x", {"a.x": 1})
    facts = taken_over(run.machine, "run", [e.decode(data) for data in run.journal], ["y"], run.tick())
    lines = side_by_side().say(e.RunStarted(0, Raw(b'{"seed":1}'), "", ""), *facts)
    assert lines == ["called for decide-1 after x", "call ann for y #1", "call eve for decide-1 #1"]


def test_at_its_bounds_it_is_asked_no_more_and_what_there_is_goes_on():
    run = side_by_side(decisions_max=1, then="finish")
    run.begin()
    run.reply("x", {"a.x": 1})
    run.reply("decide-1", NOTHING)
    assert run.reply("y", {"a.y": 1}) == ["call ann for z #1"]
    assert run.reply("z", {"a.z": 1}) == ["succeeded: 1 decisions were made, and no more may be"]


# --- a person at the bounds ---


def at_its_bounds(**roles):
    run = supervised(decisions_max=1, then="escalate", roles=roles)
    run.begin()
    lines = run.reply("decide-1", NOTHING)
    why = "1 decisions were made, and no more may be"
    assert lines == [
        "decide-1 adds nothing",
        "called for decide-2 after decide-1",
        f"escalated decide-2: {why}",
        f"parked: decide-2 needs a person: {why}",
    ]
    return run


def test_who_is_to_decide_beyond_its_bounds_is_told_that_no_more_is_left():
    run = at_its_bounds()
    decide(run, "decide-2", "retry", text="Be done.")
    run.start("decide-2")
    assert run.jobs["decide-2"].progress["left"]["decisions"] == 0


def test_a_person_decides_at_its_bounds():
    run = at_its_bounds()
    run.machine = run.fold()
    assert run.machine.questions[2].verbs == ("write", "retry", "reject")
    lines = decide(run, "decide-2", "write", writes={"add": [new("x")]})
    assert lines == ["committed decide-2 #0", "decide-2 adds x", "call ann for x #1"]
    assert run.reply("x", {"a.x": 1})[1].startswith("escalated decide-3")
    assert decide(run, "decide-3", "reject")[-1] == "failed: decide-3: rejected by person:eve"


def test_a_person_may_let_the_agent_decide_once_more():
    run = at_its_bounds()
    assert decide(run, "decide-2", "retry", text="Finish.") == ["call eve for decide-2 #1"]
    assert run.reply("decide-2", {"finish": {}}) == ["decide-2 finishes", "succeeded"]


def test_a_question_at_the_bounds_has_the_deadline_of_its_agent():
    run = at_its_bounds(eve=Role(EVE, Policy(retries=1), escalation=Escalation(5_000)))
    assert run.machine.questions[2].due_us == run.at_us + 5_000_000


# --- for itself ---


def test_it_may_give_itself_work_where_a_person_agrees():
    run = supervised(recursion="ask")
    run.begin()
    own = new("more", agent="eve", writes=["answer"])
    own |= {"action": "decide", "instructions": "Sum it up."}
    asked = "May it give work to itself? more (eve.decide)"
    assert run.reply("decide-1", adding(own)) == [f"parked: {asked}"]
    run.crash()
    assert decide(run, "decide-1", "approve") == ["committed decide-1 #1", "decide-1 adds more", "call eve for more #1"]
    assert run.reply("more", {"answer": "x"})[0].startswith("called for decide-2")
    assert run.reply("decide-2", adding({**own, "id": "again", "instructions": "Once more."}))[0].startswith(
        "parked: May it"
    )
    assert decide(run, "decide-2", "reject")[-1] == "failed: decide-2: rejected by person:eve"


def test_how_long_it_waits_for_that_person_is_what_it_declares():
    eve = Role(EVE, Policy(retries=1), escalation=Escalation(deadline_ms=5_000))
    run = supervised(recursion="ask", roles={"eve": eve})
    run.begin()
    own = new("more", agent="eve", writes=["answer"]) | {"action": "decide", "instructions": "Sum it up."}
    run.start("decide-1")
    asked = run.judge("decide-1", adding(own))
    assert (type(asked), asked.due_us) == (e.QuestionAsked, asked.at_us + 5_000_000)


def test_what_guards_the_other_work_of_its_agent_rests_while_it_decides():
    guardrails = [Says(0.0), Judge(agent="ann")]
    eve = Role(Scope(["decide", "mail"], ["seed"], ["answer"]), ONCE, guardrails=guardrails)
    roles = {"ann": Role(Scope(["act", "judge"], ["seed"], ["a.*"])), "eve": eve}
    policy = SupervisorPolicy("eve", "decide", "idle")
    run = Transcript(roles=roles, supervisor=policy, request={"seed": 1}, effects={"mail": EffectRule()}, guard=guard)
    assert run.begin() == ["called for decide-1 after nothing", "call eve for decide-1 #1"]
    duty = run.machine.duty(run.machine.number["decide-1"])
    assert (duty.panel, duty.effects, duty.branches, duty.requests, duty.judges) == (None, (), (), (), {})


# --- the last resort ---

CALM = SupervisorPolicy(
    "eve", "decide", "start", otherwise="calm", called="planner",
    last_resort=(step("p", writes=["a.p"]), step("q", needs=["p"], writes=["a.q"])),
)  # fmt: skip


def planner(**more):
    roles = {"ann": Role(Scope(["act"], ["seed"], ["a.*"])), "eve": Role(EVE, Policy(retries=0), **more)}
    return Transcript(roles=roles, supervisor=CALM, request={"seed": 1})


def test_where_no_proposal_could_be_taken_a_declared_plan_is():
    run = planner()
    run.begin()
    lines = run.reply("decide-1", {"add": "x"})
    assert lines[0].startswith("buried decide-1: add is a list")
    assert lines[1:] == ["decide-1 adds p q, otherwise", "call ann for p #1"]
    assert [run.machine.plan.steps[run.machine.number[id_]].needs for id_ in "pq"] == [("decide-1",), ("decide-1", "p")]
    run.crash()
    run.reply("p", {"a.p": 1})
    assert run.reply("q", {"a.q": 1}) == ["succeeded"]
    assert run.fold().state == run.machine.state


def test_a_person_is_asked_before_that_where_one_is_declared():
    run = planner(escalation=Escalation())
    run.begin()
    assert run.reply("decide-1", {"add": "x"})[0].startswith("escalated decide-1")
    assert decide(run, "decide-1", "reject")[1] == "decide-1 adds p q, otherwise"


def test_what_nobody_has_approved_is_no_last_resort():
    run = planner()
    run.begin(e.PlanApproval())
    assert run.reply("decide-1", {"add": "x"})[-1].startswith("failed: decide-1: add is a list")


def test_a_planner_that_is_done_needs_no_last_resort():
    run = planner()
    run.begin()
    assert run.reply("decide-1", {"finish": {}}) == ["decide-1 finishes", "succeeded"]


def test_what_is_declared_is_looked_up():
    declared = {"agent": "eve", "action": "plan", "otherwise": "calm"}
    assert supervisor_of(None, declared, {"calm": CALM.last_resort}) == SupervisorPolicy(
        "eve", "plan", "start", otherwise="calm", called="planner", last_resort=CALM.last_resort
    )
    assert supervisor_of(None, {"rules": []}) is None


# --- what is declared ---


@pytest.mark.parametrize(
    ("declared", "place", "said"),
    [
        (({}, {}), ("planner",), "the team has a planner and a supervisor; keep one"),
        (({},), ("supervisor",), "the supervisor: Missing required argument 'agent'; give it an agent and an action"),
        (
            (None, {"agent": "eve"}),
            ("planner",),
            "the planner: Missing required argument 'action'; give it an agent and an action",
        ),
        (
            (None, {"otherwise": "calm"}, {"clam": (), "storm": ()}),
            ("planner", "otherwise"),
            "there is no plan 'calm'; did you mean clam?; declare it in plans, beside clam, storm",
        ),
        (({"otherwise": "calm"},), ("supervisor", "otherwise"), "there is no plan 'calm'; declare it in plans"),
    ],
)
def test_what_no_policy_can_be_made_of(declared, place, said):
    with pytest.raises(TeamError) as refused:
        supervisor_of(*declared)
    assert (refused.value.place, str(refused.value)) == (place, said)


NUMBERS = ("decisions_max", "steps_max", "depth_max", "calls_max", "no_progress_max")


@pytest.mark.parametrize(
    ("policy", "steps", "place", "said"),
    [
        ({"agent": "bem"}, (), "planner.agent", "the planner is bem, which is no agent; did you mean ben?"),
        ({"action": "decid"}, (), "planner.action",
         "the planner may not do decid; did you mean decide?; add decid to the allowed_actions of eve"),
        ({"ask": "never"}, (), "planner.ask", "ask of the planner is 'never'; start or idle or each"),
        ({"then": "x" * 50}, (), "planner.then",
         f"then of the planner is '{'x' * 39}; finish or fail_run or escalate"),
        ({"recursion": "loop"}, (), "planner.recursion", "recursion of the planner is 'loop'; refuse or ask"),
        *(({name: 0}, (), f"planner.{name}", f"{name} of the planner is less than 1") for name in NUMBERS),
        ({"ask": "start"}, [step("x", agent="ben")], "planner.agent",
         "the plan has steps, and an agent plans them; leave out the plan, or ask: idle"),
        ({}, [step("decide-3", agent="ben")], "plan.decide-3.id",
         "the id decide-3 is that of a decision; rename it"),
        ({"ask": "start", "last_resort": (step("decide-1", agent="ben"),)}, (), "plan.decide-1.id",
         "the id decide-1 is that of a decision; rename it"),
    ],
)  # fmt: skip
def test_a_policy_that_can_not_be(policy, steps, place, said):
    roles = {"ben": Role(Scope(["act"], [], ["b"])), "eve": Role(EVE)}
    planner = SupervisorPolicy(**{"agent": "eve", "action": "decide", "called": "planner"} | policy)
    with pytest.raises(TeamError) as refused:
        Transcript(*steps, roles=roles, supervisor=planner)
    assert [(".".join(one.place), str(one)) for one in refused.value.problems] == [(place, said)]


def test_who_stands_in_must_be_allowed_to_decide_too():
    roles = {"eve": Role(EVE, fallback="ben"), "ben": Role(Scope(["act"], [], ["b"]))}
    with pytest.raises(TeamError) as refused:
        Transcript(roles=roles, supervisor=SupervisorPolicy("eve", "decide"))
    [found] = refused.value.problems
    assert (found.place, found.agents) == (("supervisor", "action"), ("ben",))
    assert str(found) == "the supervisor may not do decide; add decide to the allowed_actions of ben"


def test_one_of_each_may_be_all_that_is_allowed():
    run = Transcript(
        roles={"eve": Role(EVE)}, supervisor=SupervisorPolicy("eve", "decide", **dict.fromkeys(NUMBERS, 1))
    )
    assert run.begin()[0] == "called for decide-1 after nothing"
