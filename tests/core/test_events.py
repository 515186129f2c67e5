"""The journal's format. These bytes are compatibility data: a later version must read what this one wrote.

Never change a line of GOLDEN; add one for a new event, or for a new field of an old one.
"""

from typing import get_args

import msgspec
import pytest
from msgspec import Raw

import interlock.core.commands as c
import interlock.core.events as e
from interlock.core.job import Question, Usage

GOLDEN = [
    (
        e.RunStarted(1, Raw(b'{"q":1}'), "team-hash", "plan-hash"),
        b'{"t":"run_started","at_us":1,"request":{"q":1},"team":"team-hash","plan":"plan-hash"}',
    ),
    (
        e.RunStarted(1, Raw(b"{}"), "t", "p", version=2),
        b'{"t":"run_started","at_us":1,"request":{},"team":"t","plan":"p","version":2}',
    ),
    (
        e.AttemptStarted(2, "a", 1, "ann", "view-hash"),
        b'{"t":"attempt_started","at_us":2,"step":"a","attempt":1,"agent":"ann","view":"view-hash"}',
    ),
    (
        e.RunStarted(1, Raw(b"{}"), "t", "p", faults="faults-hash"),
        b'{"t":"run_started","at_us":1,"request":{},"team":"t","plan":"p","faults":"faults-hash"}',
    ),
    (
        e.CallHeld(2, "a", "ann", "budget", "it is spent"),
        b'{"t":"call_held","at_us":2,"step":"a","agent":"ann","gate":"budget","reason":"it is spent"}',
    ),
    (
        e.CallHeld(2, "a", "ann", "breaker", "it is open", 5),
        b'{"t":"call_held","at_us":2,"step":"a","agent":"ann","gate":"breaker","reason":"it is open","until_us":5}',
    ),
    (
        e.FaultInjected(2, "a", 1, "timeout"),
        b'{"t":"fault_injected","at_us":2,"step":"a","attempt":1,"fault":"timeout"}',
    ),
    (
        e.AttemptCommitted(3, "a", 1),
        b'{"t":"attempt_committed","at_us":3,"step":"a","attempt":1}',
    ),
    (
        e.AttemptCommitted(
            3, "a", 1, {"x.y": Raw(b"[1.0]")}, ("z",), ("q",), True, Raw(b'"done"'), Usage(1, 2, 0.5), 0.75
        ),
        (
            b'{"t":"attempt_committed","at_us":3,"step":"a","attempt":1,"writes":{"x.y":[1.0]},"deletes":["z"],"reads":["q"],'
            b'"coarse":true,"output":"done","usage":{"input_tokens":1,"output_tokens":2,"usd":0.5},"confidence":0.75}'
        ),
    ),
    (
        e.AttemptRefused(4, "a", 1, (e.Finding("scope", "ann may not write x", "x"), e.Finding("shape", "nothing"))),
        (
            b'{"t":"attempt_refused","at_us":4,"step":"a","attempt":1,"findings":['
            b'{"code":"scope","message":"ann may not write x","path":"x"},{"code":"shape","message":"nothing"}]}'
        ),
    ),
    (
        e.AttemptRefused(4, "a", 1, (), Raw(b'"None"'), ("q",), Usage(1)),
        (
            b'{"t":"attempt_refused","at_us":4,"step":"a","attempt":1,"findings":[],"reply":"None","reads":["q"],'
            b'"usage":{"input_tokens":1}}'
        ),
    ),
    (
        e.AttemptFailed(5, "a", 1, "timeout", "no answer within 5 s"),
        b'{"t":"attempt_failed","at_us":5,"step":"a","attempt":1,"kind":"timeout","error":"no answer within 5 s"}',
    ),
    (
        e.AttemptFailed(5, "a", 1, "error", "bad key", retryable=False),
        b'{"t":"attempt_failed","at_us":5,"step":"a","attempt":1,"kind":"error","error":"bad key","retryable":false}',
    ),
    (
        e.AttemptInterrupted(6, "a", 1),
        b'{"t":"attempt_interrupted","at_us":6,"step":"a","attempt":1}',
    ),
    (
        e.ReplyArrivedLate(7, "a", 1, Usage(0, 3)),
        b'{"t":"reply_arrived_late","at_us":7,"step":"a","attempt":1,"usage":{"output_tokens":3}}',
    ),
    (
        e.QuestionAsked(8, "a", 1, Question("Refund?", ("yes", "no")), Usage(), ("q",)),
        (
            b'{"t":"question_asked","at_us":8,"step":"a","attempt":1,"question":{"text":"Refund?","choices":["yes","no"]},'
            b'"usage":{},"reads":["q"]}'
        ),
    ),
    (
        e.QuestionAsked(8, "a", 1, Question("Why?")),
        b'{"t":"question_asked","at_us":8,"step":"a","attempt":1,"question":{"text":"Why?"}}',
    ),
    (
        e.QuestionAsked(8, "a", 1, Question("Why?"), due_us=9),
        b'{"t":"question_asked","at_us":8,"step":"a","attempt":1,"question":{"text":"Why?"},"due_us":9}',
    ),
    (
        e.StepEscalated(8, "a", 3, "it broke", 9),
        b'{"t":"step_escalated","at_us":8,"step":"a","attempt":3,"reason":"it broke","due_us":9}',
    ),
    (
        e.StepEscalated(8, "a", 0, "it is spent", budget="run_budget"),
        (b'{"t":"step_escalated","at_us":8,"step":"a","attempt":0,"reason":"it is spent","budget":"run_budget"}'),
    ),
    (
        e.BudgetRaised(9, "a", 0, "person:eve", "agent_budget", "agent ann", 1, 20, 300_000, ("b",), "month's end"),
        (
            b'{"t":"budget_raised","at_us":9,"step":"a","attempt":0,"by":"person:eve","budget":"agent_budget",'
            b'"whose":"agent ann","calls":1,"tokens":20,"usd":300000,"others":["b"],"reason":"month\'s end"}'
        ),
    ),
    (
        e.BudgetRaised(9, "a", 2, "person:eve", "run_budget", calls=1),
        (b'{"t":"budget_raised","at_us":9,"step":"a","attempt":2,"by":"person:eve","budget":"run_budget","calls":1}'),
    ),
    (
        e.ShareRaised(9, "a", 2, "n1", "person:eve", "b", 1, 8, 1, 20, 300_000, "month's end"),
        (
            b'{"t":"share_raised","at_us":9,"step":"a","attempt":2,"run_id":"n1","by":"person:eve","asked":"b",'
            b'"asked_attempt":1,"asked_us":8,"calls":1,"tokens":20,"usd":300000,"reason":"month\'s end"}'
        ),
    ),
    (
        e.QuestionExpired(9, "a", 3, "default", {"x": Raw(b"1")}, "why"),
        (b'{"t":"question_expired","at_us":9,"step":"a","attempt":3,"then":"default","writes":{"x":1},"reason":"why"}'),
    ),
    (
        e.QuestionAnswered(
            8, "a", 1, "person:eve", "edit", "why", {"x": Raw(b"1")}, ("y",), ("*",), "the amount was wrong"
        ),
        (
            b'{"t":"question_answered","at_us":8,"step":"a","attempt":1,"by":"person:eve","decision":"edit","text":"why",'
            b'"writes":{"x":1},"deletes":["y"],"reads":["*"],"reason":"the amount was wrong"}'
        ),
    ),
    (
        e.QuestionAnswered(8, "a", 1, "person:eve", "retry"),
        b'{"t":"question_answered","at_us":8,"step":"a","attempt":1,"by":"person:eve","decision":"retry"}',
    ),
    (
        e.AnswerRefused(8, "a", "person:bob", "edit", (e.Finding("scope", "may not"),)),
        (
            b'{"t":"answer_refused","at_us":8,"step":"a","by":"person:bob","decision":"edit",'
            b'"findings":[{"code":"scope","message":"may not"}]}'
        ),
    ),
    (
        e.AttemptCommitted(
            3, "a", 1, effects=(e.EffectWanted("mail", "mail", Raw(b"null")), e.EffectWanted("pay", "p 1", Raw(b"[1]")))
        ),
        (
            b'{"t":"attempt_committed","at_us":3,"step":"a","attempt":1,"effects":['
            b'{"effect":"mail","key":"mail","payload":null},{"effect":"pay","key":"p 1","payload":[1]}]}'
        ),
    ),
    (
        e.QuestionAsked(8, "a", 1, Question("Was it?", ("yes", "no")), effect="p 1"),
        (
            b'{"t":"question_asked","at_us":8,"step":"a","attempt":1,"question":{"text":"Was it?",'
            b'"choices":["yes","no"]},"effect":"p 1"}'
        ),
    ),
    (
        e.EffectRequested(8, "a", 1, "pay", "p 1", Raw(b'{"usd":5}')),
        b'{"t":"effect_requested","at_us":8,"step":"a","attempt":1,"effect":"pay","key":"p 1","payload":{"usd":5}}',
    ),
    (
        e.EffectStarted(8, "a", "pay", "p 1"),
        b'{"t":"effect_started","at_us":8,"step":"a","effect":"pay","key":"p 1"}',
    ),
    (
        e.EffectStarted(8, "a", "pay", "p 1", 2),
        b'{"t":"effect_started","at_us":8,"step":"a","effect":"pay","key":"p 1","number":2}',
    ),
    (
        e.EffectDone(8, "a", "p 1"),
        b'{"t":"effect_done","at_us":8,"step":"a","key":"p 1"}',
    ),
    (
        e.EffectDone(8, "a", "p 1", Raw(b'{"receipt":7}'), "too large"),
        b'{"t":"effect_done","at_us":8,"step":"a","key":"p 1","result":{"receipt":7},"flaw":"too large"}',
    ),
    (
        e.EffectFailed(8, "a", "p 1", "declined", retryable=False),
        b'{"t":"effect_failed","at_us":8,"step":"a","key":"p 1","error":"declined","retryable":false}',
    ),
    (
        e.EffectBecameUnknown(8, "a", "p 1", "it took longer than 10 s"),
        b'{"t":"effect_became_unknown","at_us":8,"step":"a","key":"p 1","reason":"it took longer than 10 s"}',
    ),
    (
        e.EffectBecameUnknown(8, "a", "p 1", "its driver died", lost=True),
        b'{"t":"effect_became_unknown","at_us":8,"step":"a","key":"p 1","reason":"its driver died","lost":true}',
    ),
    (
        e.BackoffEnded(9, "a"),
        b'{"t":"backoff_ended","at_us":9,"step":"a"}',
    ),
    (
        e.WaitBegun(9, "a", 20, "paid"),
        b'{"t":"wait_begun","at_us":9,"step":"a","due_us":20,"event":"paid"}',
    ),
    (
        e.WaitBegun(9, "a"),
        b'{"t":"wait_begun","at_us":9,"step":"a"}',
    ),
    (
        e.WaitEnded(20, "a", "evt_1", "stripe", {"payment": Raw(b"12")}),
        b'{"t":"wait_ended","at_us":20,"step":"a","event_id":"evt_1","by":"stripe","writes":{"payment":12}}',
    ),
    (
        e.WaitEnded(20, "a", then="dead", reason="too late"),
        b'{"t":"wait_ended","at_us":20,"step":"a","then":"dead","reason":"too late"}',
    ),
    (
        e.EventReceived(8, "paid", "evt_1", "stripe", Raw(b"12")),
        b'{"t":"event_received","at_us":8,"event":"paid","event_id":"evt_1","by":"stripe","data":12}',
    ),
    (
        e.EventRefused(8, "paid", "e", "ann", (e.Finding("again", "no"),)),
        b'{"t":"event_refused","at_us":8,"event":"paid","event_id":"e","by":"ann","findings":[{"code":"again","message":"no"}]}',
    ),
    (
        e.ConflictsResolved(
            9,
            "a",
            ("said",),
            {"deal": Raw(b'{"x":1}')},
            (e.Settled("deal.x", (e.Said(("b",), Raw(b"1")), e.Said(("c",), absent=True)), 0, "vote", "2 of 3"),),
            3,
            ("d",),
        ),
        b'{"t":"conflicts_resolved","at_us":9,"step":"a","reads":["said"],"writes":{"deal":{"x":1}},"settled":[{"path":"deal.x","said":[{"steps":["b"],"value":1},{"steps":["c"],"absent":true}],"taken":0,"by":"vote","why":"2 of 3"}],"agreed":3,"left_out":["d"]}',  # noqa: E501
    ),
    (
        e.ConflictsResolved(9, "a", (), settled=(e.Settled("deal", (), -1, "person:eve", anew=Raw(b"7")),)),
        b'{"t":"conflicts_resolved","at_us":9,"step":"a","reads":[],"settled":[{"path":"deal","said":[],"taken":-1,"by":"person:eve","anew":7}]}',
    ),
    (
        e.StepExpanded(10, "a", Raw(b'[{"n":1},2]')),
        b'{"t":"step_expanded","at_us":10,"step":"a","items":[{"n":1},2]}',
    ),
    (
        e.StepSkipped(11, "a", "its condition did not hold"),
        b'{"t":"step_skipped","at_us":11,"step":"a","reason":"its condition did not hold"}',
    ),
    (
        e.StepBuried(12, "a", "it broke"),
        b'{"t":"step_buried","at_us":12,"step":"a","reason":"it broke"}',
    ),
    (
        e.StepBuried(12, "a", "it broke", "ann", 3),
        b'{"t":"step_buried","at_us":12,"step":"a","reason":"it broke","agent":"ann","attempts":3}',
    ),
    (
        e.RunStarted(1, Raw(b"{}"), "team", "plan", origin=e.Origin("r", ("a",), "person:eve", "mended", ("q",))),
        (
            b'{"t":"run_started","at_us":1,"request":{},"team":"team","plan":"plan",'
            b'"origin":{"run_id":"r","steps":["a"],"by":"person:eve","reason":"mended","changed":["q"]}}'
        ),
    ),
    (
        e.StepShared(16, "a", 1, "ann", {"x": Raw(b"1")}, ("y",), ("q",), ("x",)),
        (
            b'{"t":"step_shared","at_us":16,"step":"a","attempt":1,"agent":"ann","writes":{"x":1},"deletes":["y"],'
            b'"reads":["q"],"changed":["x"]}'
        ),
    ),
    (
        e.EffectShared(16, "a", "pay", "p 1", Raw(b"1"), "run", Raw(b"7")),
        (
            b'{"t":"effect_shared","at_us":16,"step":"a","effect":"pay","key":"p 1","payload":1,"run_id":"run",'
            b'"result":7}'
        ),
    ),
    (
        e.EffectShared(16, "a", "pay", "p 1", Raw(b"1"), "run", reason="timed out"),
        (
            b'{"t":"effect_shared","at_us":16,"step":"a","effect":"pay","key":"p 1","payload":1,"run_id":"run",'
            b'"reason":"timed out"}'
        ),
    ),
    (
        e.ReplyDrafted(4, "a", 1),
        b'{"t":"reply_drafted","at_us":4,"step":"a","attempt":1}',
    ),
    (
        e.ReplyDrafted(
            4,
            "a",
            1,
            {"x": Raw(b"1")},
            ("y",),
            ("q",),
            True,
            Raw(b'"said"'),
            Usage(5, 6, 0.01),
            0.9,
            {"says": 0.5},
            (e.Finding("says", "so so"),),
            (e.EffectWanted("mail", "k", Raw(b"{}")),),
        ),
        (
            b'{"t":"reply_drafted","at_us":4,"step":"a","attempt":1,"writes":{"x":1},"deletes":["y"],"reads":["q"],'
            b'"coarse":true,"output":"said","usage":{"input_tokens":5,"output_tokens":6,"usd":0.01},"confidence":0.9,'
            b'"scores":{"says":0.5},"findings":[{"code":"says","message":"so so"}],'
            b'"effects":[{"effect":"mail","key":"k","payload":{}}]}'
        ),
    ),
    (
        e.ReplyJudged(5, "a", 2, 0.5),
        b'{"t":"reply_judged","at_us":5,"step":"a","attempt":2,"score":0.5}',
    ),
    (
        e.ReplyJudged(5, "a", 2, 0.5, (e.Finding("judge", "too curt"),), Usage(1, 2), ("q",)),
        (
            b'{"t":"reply_judged","at_us":5,"step":"a","attempt":2,"score":0.5,"findings":[{"code":"judge",'
            b'"message":"too curt"}],"usage":{"input_tokens":1,"output_tokens":2},"reads":["q"]}'
        ),
    ),
    (
        e.RunReopened(16, ("a",), "person:eve"),
        b'{"t":"run_reopened","at_us":16,"steps":["a"],"by":"person:eve"}',
    ),
    (
        e.RunReopened(16, ("a", "b"), "person:eve", "mended"),
        b'{"t":"run_reopened","at_us":16,"steps":["a","b"],"by":"person:eve","reason":"mended"}',
    ),
    (
        e.RunParked(13, "a asks: Refund?"),
        b'{"t":"run_parked","at_us":13,"reason":"a asks: Refund?"}',
    ),
    (
        e.DecisionCalled(13, "decide-1", ("a", "b")),
        b'{"t":"decision_called","at_us":13,"step":"decide-1","needs":["a","b"]}',
    ),
    (
        e.PlanRevised(13, "decide-1", Raw(b'[{"id":"c","agent":"ann","action":"act","needs":["decide-1"]}]')),
        (
            b'{"t":"plan_revised","at_us":13,"step":"decide-1",'
            b'"added":[{"id":"c","agent":"ann","action":"act","needs":["decide-1"]}]}'
        ),
    ),
    (
        e.PlanRevised(13, "decide-2", finished=True),
        b'{"t":"plan_revised","at_us":13,"step":"decide-2","finished":true}',
    ),
    (
        e.RunCancelled(14, "person:eve"),
        b'{"t":"run_cancelled","at_us":14,"by":"person:eve"}',
    ),
    (
        e.RunCancelled(14, "person:eve", "too dear"),
        b'{"t":"run_cancelled","at_us":14,"by":"person:eve","reason":"too dear"}',
    ),
    (
        e.RunStarted(1, Raw(b"{}"), "t", "p", parent=e.Parent("r", "a", 1)),
        (
            b'{"t":"run_started","at_us":1,"request":{},"team":"t","plan":"p",'
            b'"parent":{"run_id":"r","step":"a","attempt":1}}'
        ),
    ),
    (
        e.RunStarted(1, Raw(b"{}"), "t", "p", parent=e.Parent("r", "a", 2, 3, calls=5, usd=7)),
        (
            b'{"t":"run_started","at_us":1,"request":{},"team":"t","plan":"p",'
            b'"parent":{"run_id":"r","step":"a","attempt":2,"depth":3,"calls":5,"usd":7}}'
        ),
    ),
    (
        e.ChildStarted(2, "a", 1, "lab", "view-hash", "c"),
        b'{"t":"child_started","at_us":2,"step":"a","attempt":1,"agent":"lab","view":"view-hash","run_id":"c"}',
    ),
    (
        e.ChildStarted(2, "a", 1, "lab", "v", "c", 20, 7),
        (
            b'{"t":"child_started","at_us":2,"step":"a","attempt":1,"agent":"lab","view":"v","run_id":"c",'
            b'"due_us":20,"seq":7}'
        ),
    ),
    (
        e.ChildParked(3, "a", 1, "c", "b asks: May I?", 7),
        b'{"t":"child_parked","at_us":3,"step":"a","attempt":1,"run_id":"c","reason":"b asks: May I?","seq":7}',
    ),
    (
        e.ChildEnded(4, "a", 1, "c", "succeeded", usage=Usage(1, 2, 0.5), calls=3, writes="hash"),
        (
            b'{"t":"child_ended","at_us":4,"step":"a","attempt":1,"run_id":"c","status":"succeeded",'
            b'"usage":{"input_tokens":1,"output_tokens":2,"usd":0.5},"calls":3,"writes":"hash"}'
        ),
    ),
    (
        e.ChildEnded(4, "a", 1, "c", "failed", "b: no", late=True),
        (
            b'{"t":"child_ended","at_us":4,"step":"a","attempt":1,"run_id":"c","status":"failed","reason":"b: no",'
            b'"late":true}'
        ),
    ),
    (
        e.ChildAbandoned(4, "a", 1, "c"),
        b'{"t":"child_abandoned","at_us":4,"step":"a","attempt":1,"run_id":"c"}',
    ),
    (
        e.RunFinished(15, "succeeded"),
        b'{"t":"run_finished","at_us":15,"status":"succeeded"}',
    ),
    (
        e.RunFinished(15, "failed", "a: it broke"),
        b'{"t":"run_finished","at_us":15,"status":"failed","reason":"a: it broke"}',
    ),
]


@pytest.mark.parametrize(("event", "encoded"), GOLDEN, ids=[type(event).__name__ for event, _ in GOLDEN])
def test_the_format_of_an_event_does_not_change(event, encoded):
    assert e.encode(event) == encoded
    assert e.decode(encoded) == event
    assert type(e.decode(encoded)) is type(event)


def test_every_event_is_pinned():
    assert {type(event) for event, _ in GOLDEN} == set(get_args(e.AnyEvent))


def test_an_event_without_its_default_fields_reads_as_it_was_written():
    event = e.decode(b'{"t":"attempt_committed","at_us":3,"step":"a","attempt":1}')

    assert (event.writes, event.deletes, event.reads, event.coarse, bytes(event.output)) == ({}, (), (), False, b"null")


def test_the_version_of_the_format_is_that_of_a_run_that_names_none():
    assert e.decode(GOLDEN[0][1]).version == e.FORMAT_VERSION == 1


@pytest.mark.parametrize("encoded", [b'{"t":"never_heard_of","at_us":1}', b'{"at_us":1}', b"[]", b'{"t":"run_parked"}'])
def test_what_is_no_event_is_not_read(encoded):
    with pytest.raises(msgspec.ValidationError):
        e.decode(encoded)


@pytest.mark.parametrize(
    "fact", [*(event for event, _ in GOLDEN), c.CallAgent(1, "a", "ann", 1, 5_000), c.FinishRun("failed", "")]
)
def test_facts_and_commands_cannot_be_changed(fact):
    with pytest.raises(AttributeError):
        setattr(fact, fact.__struct_fields__[0], 0)
