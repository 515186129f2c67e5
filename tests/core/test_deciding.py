"""A plan that grows while its run goes on: who decides about it, what is refused, and when it ends."""

import msgspec
import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core.budget import BudgetPolicy
from interlock.core.decision import decided
from interlock.core.effects import EffectRule
from interlock.core.job import DELETE, Effect, Question, Reply, Usage
from interlock.core.policy import Escalation, Policy
from interlock.core.redrive import taken_over
from interlock.core.role import Role
from interlock.core.scope import Scope
from interlock.core.settlement import settled
from interlock.core.supervision import SupervisorPolicy, supervisor_of
from interlock.core.values import Limits

from .test_settlement import decide
from .transcripts import ONCE, Transcript, step

ANN = Scope(["act", "pay"], ["seed"], ["a.*", "b"])
BEN = Scope(["act"], ["a", "b"], ["c"])
EVE = Scope(["decide"], ["*"], ["answer"])
SCHEMA = {"properties": {"answer": {"type": "string"}}}


def supervised(*steps, retries=1, ask="idle", roles=None, **more):
    """A run about whose plan eve decides."""
    given = {
        "ann": Role(ANN, ONCE, on_dead="skip"),
        "ben": Role(BEN, ONCE),
        "eve": Role(EVE, Policy(retries=retries), schema=SCHEMA),
    }
    shared = {key: more.pop(key) for key in ("effects", "limits", "budget") if key in more}
    policy = SupervisorPolicy("eve", "decide", ask, **more)
    return Transcript(*steps, roles=given | (roles or {}), supervisor=policy, request={"seed": [1, 2]}, **shared)


def new(id_, *needs, agent="ann", writes=None, **more):
    return {"id": id_, "agent": agent, "action": "act", "needs": [*needs], "writes": writes or [f"a.{id_}"], **more}


def adding(*steps):
    return Reply(output={"add": [*steps]})


def told(run, answer):
    """What the deciding agent is told about what is wrong."""
    lines = run.reply("decide-1", answer)
    event = e.decode(run.journal[-1])
    assert isinstance(event, e.AttemptRefused), lines
    return [finding.message for finding in event.findings]


def added(run, id_):
    """What a step that was added needs."""
    return run.machine.plan.steps[run.machine.number[id_]].needs


SHAPE = 'a decision is {"add": [steps], "drop": [ids], "finish": {path: value} or null}, and nothing else'
LISTS = "add is a list of steps, drop one of ids, and finish an object of paths and values, or null"
KEYS = "id, agent, action, needs, reads, writes, instructions, when, for_each, samples, width, batch"


# --- how a plan grows ---


def test_an_agent_plans_before_anything_else():
    run = supervised(ask="start")
    assert run.begin() == ["called for decide-1 after nothing", "call eve for decide-1 #1"]
    lines = run.reply("decide-1", adding(new("x"), new("y", "x")))
    assert lines == ["decide-1 adds x y", "call ann for x #1"]
    assert run.reply("x", {"a.x": 1}) == ["call ann for y #1"]
    assert run.reply("y", {"a.y": 1}) == ["succeeded"]
    assert run.context == {"seed": [1, 2], "a": {"x": 1, "y": 1}}


def test_a_supervisor_is_asked_whenever_nothing_is_left_to_do():
    run = supervised(step("first", writes=["b"]))
    assert run.begin() == ["call ann for first #1"]
    assert run.reply("first", {"b": 1}) == ["called for decide-1 after first", "call eve for decide-1 #1"]
    assert run.reply("decide-1", adding(new("x", agent="ben", writes=["c"]))) == [
        "decide-1 adds x",
        "call ben for x #1",
    ]
    run.start("x")
    assert run.jobs["x"].view.to_dict() == {"b": 1}
    assert run.reply("x", {"c": 2})[0] == "called for decide-2 after first decide-1 x"
    assert run.reply("decide-2", {"finish": {"answer": "done"}}) == ["decide-2 finishes", "succeeded"]
    assert run.context["answer"] == "done"


def test_what_was_decided_is_taken_from_the_journal():
    run = supervised(step("each", for_each="seed", writes=["a.i{index}"]))
    run.begin()
    run.reply("each-0", {"a.i0": 1})
    run.reply("each-1", {"a.i1": 2})
    run.reply("decide-1", adding(new("x", agent="ben", writes=["c"]), new("y", "each", samples=2, writes=["a.{step}"])))
    assert run.crash() == ["call ben for x #1", "call ann for y-1 #1", "call ann for y-2 #1"]
    run.reply("x", {"c": 1})
    run.reply("y-1", {"a.y-1": 1})
    run.crash()
    assert run.reply("y-2", {"a.y-2": 2})[0].startswith("called for decide-2 after each decide-1 x y-1 y-2")
    live, folded = run.machine, run.fold()
    assert folded.number == live.number
    assert (folded.state, folded.context.to_dict()) == (live.state, live.context.to_dict())
    n = live.number["decide-2"]
    assert folded.bank.view_hash(n, folded.duty(n).sight) == live.bank.view_hash(n, live.duty(n).sight)
    assert (folded.plan.hash, folded.rules.plan) == (live.plan.hash, folded.plan)
    assert run.rules.plan.number == {"each": 1}


def test_who_decides_is_told_how_the_run_stands():
    run = supervised(step("x", writes=["b"]), instructions="Mind the cost.", steps_max=9)
    run.begin()
    run.fail("x")
    [started] = run.start("decide-1")
    job = run.jobs["decide-1"]
    assert (started.agent, job.action, job.instructions) == ("eve", "decide", "Mind the cost.")
    assert job.writes == ("add", "drop", "finish")
    assert "New steps" in job.schemas[0]
    assert job.progress == {
        "agents": {
            "ann": {"actions": ["act", "pay"], "reads": ["seed", "a.*", "b"], "writes": ["a.*", "b"]},
            "ben": {"actions": ["act"], "reads": ["a", "b", "c"], "writes": ["c"]},
        },
        "done": [{"id": "x", "agent": "ann", "action": "act", "outcome": "dead", "reason": "it broke"}],
        "left": {"decisions": 19, "steps": 9},
    }


def test_why_a_step_was_tried_again_is_not_told_once_it_has_committed():
    run = supervised(step("x", writes=["b"]), step("y", writes=["a.y"]), roles={"ann": Role(ANN, Policy(retries=1))})
    run.begin()
    run.reply("y", {"a.y": 1})
    run.refuse("x")
    run.reply("x", {"b": 1})
    run.start("decide-1")
    assert run.jobs["decide-1"].progress["done"] == [
        {"id": "x", "agent": "ann", "action": "act", "outcome": "committed"},
        {"id": "y", "agent": "ann", "action": "act", "outcome": "committed"},
    ]


@pytest.mark.parametrize(("steps", "before"), [(200, {}), (203, {"done_before": 3})])
def test_of_many_steps_the_last_are_told(steps, before):
    absent = {"path": "none", "op": "exists"}
    run = supervised(*(step(f"s{n}", agent="ben", writes=[], when=absent) for n in range(steps)))
    run.begin()
    run.start("decide-1")
    progress = run.jobs["decide-1"].progress
    assert (len(progress["done"]), progress["done"][0]["id"]) == (200, f"s{steps - 200}")
    assert {key: progress[key] for key in progress if key not in {"agents", "done", "left"}} == before


def test_a_decision_may_ask_a_person_and_be_tried_again():
    run = supervised()
    run.begin()
    assert run.reply("decide-1", Reply(ask=Question("Which?"))) == ["parked: decide-1 asks: Which?"]
    assert told_in(run.say(e.QuestionAnswered(run.tick(), "decide-1", 1, "person:ann", "answer", "That."))) == "eve"
    assert run.reply("decide-1", {"finish": {}}) == ["decide-1 finishes", "succeeded"]


def told_in(lines):
    return lines[0].split()[1]


def test_what_is_added_after_a_lost_step_is_skipped_with_the_reason():
    run = supervised(step("x", agent="ben", on_dead="skip", writes=["c"]), step("w", writes=["a.w"]))
    run.begin()
    run.fail("x")
    run.reply("w", {"a.w": 1})
    lines = run.reply("decide-1", adding(new("y", "x")))
    assert lines == ["decide-1 adds y", "call ann for y #1"]
    run = supervised(step("x", agent="ben", on_dead="skip", writes=["c"]), roles={"ben": Role(BEN, ONCE)})
    run.begin()
    run.fail("x")
    assert run.states["decide-1"] == "ready"


def test_a_person_may_decide_in_the_place_of_the_agent():
    run = supervised()
    run.begin()
    run.reply("decide-1", Reply(ask=Question("Which?")))
    stranger = {"add": [new("x", agent="bob")]}
    why = "$.add[0].agent (step x): there is no agent bob; agents: ann, ben"
    assert decide(run, "decide-1", "write", writes=stranger) == [why]
    refused = run.machine.decided_by_person(run.machine.number["decide-1"], stranger)
    assert isinstance(refused, e.AttemptRefused)
    assert (refused.step, refused.attempt, refused.findings[0].message) == ("decide-1", 1, why)
    lines = decide(run, "decide-1", "write", writes={"add": [new("x")]})
    assert lines == ["committed decide-1 #1", "decide-1 adds x", "call ann for x #1"]
    [committed] = [told for told in map(e.decode, run.journal) if isinstance(told, e.AttemptCommitted)]
    assert committed.reads == ("*",), "whoever writes for an agent may have read all"
    run.crash()
    run.reply("x", {"a.x": 1})
    run.ask("decide-2")
    lines = decide(run, "decide-2", "write", writes={"finish": {"answer": "That is all."}})
    assert lines == ["committed decide-2 #1", "decide-2 finishes", "succeeded"]
    assert run.context["answer"] == "That is all."


def test_a_person_deletes_nothing_where_a_plan_is_decided_about():
    run = supervised()
    run.begin()
    run.ask("decide-1")
    said = "decide-1 decides about the plan: it has add, drop and finish, and deletes nothing"
    deleting, finishing = (decided("decide-1", "write", writes={"finish": {}} | more) for more in ({"add": DELETE}, {}))
    verdict = settled(run.machine, deleting, "person:eve", "", run.tick())
    refusal = (run.at_us, "decide-1", "person:eve", "write", (e.Finding("decision", said),))
    assert verdict == e.AnswerRefused(*refusal)
    verdict = settled(run.machine, finishing, "person:eve", "enough", run.tick())
    plan = msgspec.Raw(b'{"finish":{}}')
    told = (run.at_us, "decide-1", 1, "person:eve", "write", "", {}, (), ("*",), "enough")
    assert verdict == e.QuestionAnswered(*told, plan=plan)
    assert run.say(verdict)[1:] == ["decide-1 finishes", "succeeded"]


def test_of_a_decision_that_was_refused_no_reply_is_kept_to_be_edited():
    run = supervised(roles={"eve": Role(EVE, ONCE, escalation=Escalation())})
    run.begin()
    writes = {"add": [new("x", agent="bob")], "finish": None}
    refused = "$.add[0].agent (step x): there is no agent bob; agents: ann, ben"
    assert run.reply("decide-1", writes)[0] == f"escalated decide-1: {refused}"
    assert run.machine.questions[1].verbs == ("write", "retry", "reject")


def test_a_journal_of_old_in_which_a_person_wrote_for_the_agent_is_read_as_it_was():
    run = supervised()
    run.begin()
    run.reply("decide-1", Reply(ask=Question("Which?")))
    lines = run.say(e.QuestionAnswered(run.tick(), "decide-1", 1, "person:ann", "write"))
    assert lines[0] == "called for decide-2 after decide-1"


def test_effects_that_a_fork_has_taken_over_wait_for_their_step():
    run = supervised(effects={"pay": EffectRule()})
    run.begin()
    shared = e.EffectShared(0, "x", "pay", "pay", msgspec.Raw(b"5"), "origin", msgspec.Raw(b"7"))
    run.say(shared)
    run.reply("decide-1", adding(new("x")))
    n = run.machine.number["x"]
    assert run.machine.ledger.entry(n, "pay").standing == "done"
    assert run.reply("x", Reply(writes={"a.x": 1}, effects=[Effect("pay", 5)]))[0].startswith("called for decide-2")


def test_in_a_fork_nothing_is_shared_of_what_any_decision_has_added():
    run = supervised()
    run.begin()
    run.reply("decide-1", adding(new("x")))
    run.reply("x", {"a.x": 1})
    run.reply("decide-2", adding(new("y")))
    run.reply("y", {"a.y": 1})
    assert taken_over(run.machine, "run", [e.decode(told) for told in run.journal], [], run.tick()) == []


def test_in_a_fork_all_is_decided_anew():
    run = supervised(step("first", writes=["b"]), roles={"ben": Role(BEN, ONCE)})
    run.begin()
    run.reply("first", {"b": 1})
    run.reply("decide-1", adding(new("x", agent="ben", writes=["c"])))
    assert run.fail("x")[-1] == "failed: x: it broke"
    facts = taken_over(run.machine, "run", [e.decode(data) for data in run.journal], ["x"], run.tick())
    assert [type(fact) for fact in facts] == [e.StepShared]
    fork = supervised(step("first", writes=["b"]))
    assert fork.say(e.RunStarted(0, msgspec.Raw(b'{"seed":1}'), "", ""), *facts)[0] == "called for decide-1 after first"


# --- what is refused ---


@pytest.mark.parametrize(
    ("answer", "findings"),
    [
        ({}, [SHAPE]),
        (Reply(output=[1]), [SHAPE]),
        ({"add": [], "dorp": []}, [SHAPE]),
        ({"add": 7}, [LISTS]),
        ({"finish": [1]}, [LISTS]),
        ({"add": [new("x")], "finish": {}}, ["it adds or drops steps and finishes: do one of them"]),
        ({"finish": {"b": 1}}, ["eve may not write b; it may write answer"]),
        ({"finish": {"answer": 7}}, ["answer: Expected `str`, got `int`"]),
        (adding(7), [f"$.add[0]: it is no object; its keys: {KEYS}"]),
        (adding(new("x", agent="eve")), ["$.add[0].agent (step x): there is no agent eve; agents: ann, ben"]),
        (adding(new("first")), ["$.add[0] (step first): two steps have the id first; rename one of them"]),
        (adding(new("decide-7")), ["$.add[0].id (step decide-7): this is the id of a decision; rename it"]),
        (adding(new("x"), new("y", writes=["a.x"])),
         [("$.add[1].writes (step y): steps x and y may run at the same time and may both write a.x; "
           "let one need the other, or give them different writes")]),
        (adding(*map(new, "pqrs")), ["$.steps: there are 4 steps; 1 to 3"]),
        (adding(new("x", samples=4, writes=["a.{step}"])),
         ["$.add: it adds 4 steps; 3 at most, with every sample",
          "$.add: ann has 4 added steps; 2 for each agent at most"]),
        (adding(new("x"), new("y", "x"), new("z", "y")),
         ["$.add: 3 added steps come one after another; 2 at most",
          "$.add: ann has 3 added steps; 2 for each agent at most"]),
        (Reply(output={"add": []}, writes={"a.x": 1}), ["eve may not write a.x; it may write nothing"]),
        (7, ["the agent returned a int; return a dict of writes or an interlock.Reply"]),
    ],
)  # fmt: skip
def test_a_refused_decision_says_what_and_where(answer, findings):
    run = supervised(step("first", writes=["b"]), steps_max=3, depth_max=2, calls_max=2)
    run.begin()
    run.reply("first", {"b": 1})
    assert told(run, answer) == [finding.replace("$.steps: there", "$.add: there") for finding in findings]
    assert run.states == {"first": "committed", "decide-1": "ready"}


def test_a_refused_decision_is_kept_with_what_it_cost():
    run = supervised()
    run.begin()
    run.reply("decide-1", Reply(output={"add": 7}, usage=Usage(5, 6)))
    assert e.decode(run.journal[-1]) == e.AttemptRefused(
        run.at_us, "decide-1", 1, (e.Finding("decision", LISTS),), Raw(b'"{\\"add\\":7}"'), (), Usage(5, 6)
    )


def test_a_decision_may_say_all_that_one_can():
    run = supervised(step("first", writes=["b"]), steps_max=3, depth_max=2, calls_max=2)
    run.begin()
    run.reply("first", {"b": 1})
    steps = [new("x"), new("y", "x", writes=["a.y"]), new("z", "x", agent="ben", writes=["c"])]
    lines = run.reply("decide-1", Reply(output={"add": steps, "drop": [], "finish": None}))
    assert lines[0] == "decide-1 adds x y z"


def test_a_later_step_may_need_samples_one_by_one_and_all_of_them():
    run = supervised()
    run.begin()
    run.reply("decide-1", adding(new("x", samples=2, writes=["a.{step}"])))
    run.reply("x-1", {"a.x-1": 1})
    run.reply("x-2", {"a.x-2": 1})
    assert run.reply("decide-2", adding(new("y", "x"), new("z", "x-2")))[0] == "decide-2 adds y z"
    assert (added(run, "y"), added(run, "z")) == (("decide-2", "x"), ("decide-2", "x-2"))


def test_once_all_steps_are_added_no_more_may_be():
    run = supervised(steps_max=1)
    run.begin()
    run.reply("decide-1", adding(new("x")))
    run.reply("x", {"a.x": 1})
    lines = run.reply("decide-2", adding(new("y")))
    assert e.decode(run.journal[-1]).findings[0].message == "$.add: no more steps may be added; add none, or finish"
    assert lines == ["call eve for decide-2 #2"]
    assert run.reply("decide-2", {"finish": {}}) == ["decide-2 finishes", "succeeded"]


def test_what_there_is_no_budget_left_for_is_refused():
    spent = BudgetPolicy(usd=10_000, call_usd=3_000)
    run = supervised(step("first", writes=["b"]), budget=spent)
    run.begin()
    run.reply("first", Reply(writes={"b": 1}, usage=Usage(usd=0.001)))
    found = "$.add: it would take 0.009 USD of the budget of the run; 0.006 USD are left"
    assert told(run, adding(*map(new, "xyz"))) == [found]
    assert run.reply("decide-1", adding(new("x"), new("y", "x")))[0] == "decide-1 adds x y"
    run = supervised(budget=BudgetPolicy(calls=9), roles={"ann": Role(ANN, ONCE, budget=BudgetPolicy(calls=2))})
    run.begin()
    assert told(run, adding(*map(new, "xyz"))) == [
        "$.add: it would take 3 calls of the budget of agent ann; 2 calls are left"
    ]


def test_of_a_spent_budget_nothing_is_left():
    run = supervised(step("first", writes=["b"]), roles={"ann": Role(ANN, ONCE, budget=BudgetPolicy(calls=1))})
    run.begin()
    run.reply("first", {"b": 1})
    found = "$.add: it would take 1 call of the budget of agent ann; 0 calls are left"
    assert told(run, adding(new("x"))) == [found]


def test_what_people_have_approved_of_a_budget_is_left_too():
    spent = BudgetPolicy(calls=1, when_spent="ask")
    steps = step("first", writes=["b"]), step("second", writes=["a.q"], needs=["first"])
    run = supervised(*steps, roles={"ann": Role(ANN, ONCE, budget=spent)})
    run.begin()
    run.reply("first", {"b": 1})
    run.hold("second", "agent_budget")
    assert decide(run, "second", "approve", more={"calls": 3}) == ["call ann for second #1"]
    run.reply("second", {"a.q": 1})
    found = "$.add: it would take 3 calls of the budget of agent ann; 2 calls are left"
    assert told(run, adding(*map(new, "xyz"))) == [found]


def test_a_step_for_each_item_may_say_how_many_at_a_time():
    run = supervised()
    run.begin()
    assert told(run, adding(new("x", width=2), new("y", for_each="seed", width=-1, writes=["a.y{index}"]))) == [
        "$.add[0].width (step x): it has a width, but no for_each; remove it",
        "$.add[1].width (step y): it is too large or too small; 1 to 100,000",
    ]
    run.reply("decide-1", adding(new("x", for_each="seed", width=1, batch=1, writes=["a.x{index}"])))
    assert run.states["x-1"] == "waiting"


def test_the_limits_of_the_team_hold():
    run = supervised(step("first", writes=["b"]), limits=Limits(steps_max=3))
    run.begin()
    run.reply("first", {"b": 1})
    assert told(run, adding(new("x"), new("y"))) == ["$.add: the run would have too many steps; 3 at most"]
    assert run.reply("decide-1", adding(new("x")))[0] == "decide-1 adds x"


def test_who_plans_must_add_steps_or_finish():
    run = supervised(ask="start")
    run.begin()
    assert told(run, Reply(output={"add": []})) == ["it adds no steps: add them, or finish"]
    assert run.reply("decide-1", {"finish": {"answer": "It is done already."}}) == ["decide-1 finishes", "succeeded"]


def test_what_is_refused_for_good_fails_the_run():
    run = supervised(retries=1)
    run.begin()
    run.reply("decide-1", {"add": "x"})
    assert run.reply("decide-1", {"add": "x"})[-1].startswith("failed: decide-1: add is a list of steps")


def test_what_repeats_a_step_before_it_is_skipped_and_comes_to_nothing():
    run = supervised(step("first", writes=["a.q"], reads=["seed"]), no_progress_max=1)
    run.begin()
    run.reply("first", {"a.q": 1})
    lines = run.reply("decide-1", adding(new("x", reads=["seed"]), new("y", "x", reads=["seed"])))
    again = "it repeats first: ann would be shown and asked the same"
    assert lines == [
        "decide-1 adds x y",
        f"skipped x: {again}",
        f"skipped y: {again}",
        "failed: the last decision has come to nothing",
    ]


def test_what_is_told_or_shown_otherwise_repeats_nothing():
    run = supervised(step("first", writes=["a.q"], reads=["seed"]))
    run.begin()
    run.reply("first", {"a.q": 1})
    given = {"reads": ["seed"], "instructions": "Once more, with feeling."}
    lines = run.reply("decide-1", adding(new("x", **given), new("y", **given), new("z", reads=["a.q"])))
    assert lines[1:] == ["call ann for x #1", "call ann for y #1", "call ann for z #1"]


def test_what_another_does_beside_it_is_not_repeated():
    run = supervised()
    run.begin()
    given = {"reads": ["seed"], "instructions": "Once more, with feeling."}
    run.reply("decide-1", adding(new("x", **given), new("z"), new("y", "z", **given)))
    run.start("x")
    assert run.reply("z", {"a.z": 1}) == ["call ann for y #1"]


# --- bounds ---


def test_decisions_that_come_to_nothing_end_the_run():
    run = supervised(no_progress_max=2)
    run.begin()
    run.reply("decide-1", adding(new("x")))
    run.fail("x")
    assert run.reply("decide-2", Reply(output={"add": []})) == [
        "decide-2 adds nothing",
        "failed: the last 2 decisions have come to nothing",
    ]


def test_there_are_so_many_decisions_at_most():
    run = supervised(decisions_max=2, then="finish")
    run.begin()
    for n in (1, 2):
        run.reply(f"decide-{n}", adding(new(f"x{n}")))
        last = run.reply(f"x{n}", {f"a.x{n}": 1})
    assert last == ["succeeded: 2 decisions were made, and no more may be"]


def test_nobody_decides_about_a_run_that_has_failed():
    run = supervised(step("x", agent="ben", writes=["c"]))
    run.begin()
    assert run.fail("x") == ["buried x: it broke", "failed: x: it broke"]


# --- what is declared ---


def test_a_planner_is_a_supervisor_that_is_asked_once():
    assert supervisor_of(None) is None
    assert supervisor_of({"agent": "eve", "action": "decide"}) == SupervisorPolicy("eve", "decide")
    planner = supervisor_of(None, {"agent": "eve", "action": "plan"})
    assert (planner.ask, planner.asked_at_most) == ("start", 1)
