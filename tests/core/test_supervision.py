"""A supervisor that is asked after each step; what it drops, what it may give itself, and who decides at its bounds."""

import pytest

import interlock.core.events as e
from interlock.core.job import Reply
from interlock.core.policy import Escalation, Policy
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.supervision import SupervisorPolicy, supervisor_of
from interlock.errors import TeamError

from .test_deciding import EVE, adding, new, supervised, told
from .test_settlement import decide
from .transcripts import Transcript, step

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
    assert told(run, dropping("y", "q", 7, "decide-1")) == [
        "$.drop[0]: y did not wait any more",
        "$.drop[1]: q is no step of the plan",
        "$.drop[2]: 7 is no step of the plan",
        "$.drop[3]: decide-1 is no step of the plan",
    ]
    assert run.reply("decide-1", dropping("z")) == ["decide-1 adds nothing, drops z"]
    # It ends when it is its turn: before that, what it needs may still be under way.
    assert run.states["z"] == "waiting"
    assert run.reply("y", {"a.y": 1})[0] == "called for decide-2 after x y z decide-1"
    assert (run.states["z"], run.machine.reasons[run.machine.number["z"]]) == ("skipped", "dropped by decide-1")
    assert run.fold().state == run.machine.state


def test_of_many_ids_none_is_looked_at():
    run = side_by_side()
    run.begin()
    run.reply("x", {"a.x": 1})
    assert told(run, dropping(*map(str, range(1_001)))) == ["$.drop: there are 1,001 ids; 1,000 at most"]


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
    assert supervisor_of(None, declared, {"calm": CALM.last_resort}).last_resort == CALM.last_resort
    with pytest.raises(TeamError, match="there is no plan 'calm'; did you mean clam"):
        supervisor_of(None, declared, {"clam": ()})
    assert supervisor_of(None, {"rules": []}) is None


def test_a_last_resort_has_no_ids_of_decisions():
    policy = SupervisorPolicy("eve", "decide", "start", otherwise="calm", last_resort=(step("decide-1"),))
    with pytest.raises(TeamError, match="the id decide-1 is that of a decision"):
        Transcript(roles={"ann": Role(Scope(["act"], ["*"], ["a.*"])), "eve": Role(EVE)}, supervisor=policy)
