"""Every event has a sentence."""

from typing import get_args

import msgspec
import pytest
from msgspec import Raw

from interlock.core import events as e
from interlock.core.job import Question
from interlock.history import sentence, some

TOLD = [
    (e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p"), "started"),
    (e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p", faults="f"), "started, with faults injected on purpose"),
    (
        e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p", origin=e.Origin("r", ("s",), "ann", "enough", ("q.x",))),
        "started as a fork of r by ann for s, with q.x changed: enough",
    ),
    (
        e.RunStarted(
            0, msgspec.Raw(b"{}"), "t", "p", origin=e.Origin("r", ("s",), "ann", team="u", at="s", repeats_effects=True)
        ),
        "started as a fork of r at s by ann, under another team, with its effects performed again",
    ),
    (
        e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p", origin=e.Origin("r", (), "ann", team="u", replaces=True)),
        "started as a fork of r by ann, under another team, in its place",
    ),
    (
        e.RunReopened(0, ("s", "t"), "ann", "enough", skip=True),
        "reopened by ann, who skips s, t: enough",
    ),
    (
        e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p", origin=e.Origin("r", ("s", "z"), "ann", "why not", at="s")),
        "started as a fork of r at s by ann for s, z: why not",
    ),
    (e.StepShared(0, "s", 1, "ann"), "taken over from the run that this is a fork of: wrote nothing"),
    (
        e.StepShared(0, "s", 1, "ann", request=e.BranchRequested("escalate", "eve", "b")),
        "taken over from the run that this is a fork of: wrote nothing; requests escalate of eve (step b)",
    ),
    (
        e.AttemptCommitted(0, "s", 1, {"x": Raw(b"1")}, request=e.BranchRequested("escalate", "eve", "b")),
        "committed: wrote x; requests escalate of eve (step b)",
    ),
    (
        e.EffectShared(0, "s", "pay", "k", msgspec.Raw(b"1"), "r"),
        "effect pay (k) was done in run r: it is not done again",
    ),
    (
        e.EffectShared(0, "s", "pay", "pay", msgspec.Raw(b"1"), "r", reason="timed out"),
        "effect pay is unknown from run r: timed out",
    ),
    (e.AttemptStarted(0, "s", 2, "ann", "v"), "ann called, attempt 2"),
    (
        e.CallHeld(0, "s", "ann", "rate", "its rate is taken up until then", 9),
        "ann not called: its rate is taken up",
    ),
    (
        e.CallHeld(0, "s", "ann", "team_budget", "its budget is 5 calls a day, of which 0 calls are left", 9),
        "ann not called: the team's budget is 5 calls a day, of which 0 calls are left",
    ),
    (e.FaultInjected(0, "s", 2, "timeout"), "injected: timeout"),
    (e.AttemptRefused(0, "s", 1, (e.Finding("a", "x"), e.Finding("b", "y"))), "refused: x; y"),
    (e.AttemptRefused(0, "s", 1, (e.Finding("a", "x"),), score=0.25), "refused with a score of 0.25: x"),
    (e.ReplyDrafted(0, "s", 1), "attempt 1 waits for a judge"),
    (e.ReplyJudged(0, "s", 2, 1.0), "judged with a score of 1"),
    (e.ReplyJudged(0, "s", 2, 0.25, (e.Finding("judge", "x"),)), "judged with a score of 0.25: x"),
    (e.AttemptFailed(0, "s", 1, "timeout", "timed out after 2 s"), "timed out after 2 s"),
    (e.AttemptFailed(0, "s", 1, "error", "ValueError: no"), "failed: ValueError: no"),
    (e.AttemptFailed(0, "s", 1, "crash", "its process died"), "crashed: its process died"),
    (e.AttemptInterrupted(0, "s", 1), "interrupted: the call was lost with its driver"),
    (e.ReplyArrivedLate(0, "s", 1), "attempt 1 replied too late: charged, not used"),
    (e.QuestionAsked(0, "s", 1, Question("may I?")), "asks: may I?"),
    (e.StepEscalated(0, "s", 3, "no luck"), "needs a person: no luck"),
    (
        e.BudgetRaised(0, "s", 1, "person:eve", "run_budget", "", 1, 2_000, 150_000, ("t", "u"), "why"),
        "person:eve approves 1 call, 2,000 tokens, 0.15 USD more of the budget of the run; t, u can go on, too (why)",
    ),
    (
        e.BudgetRaised(0, "s", 1, "person:eve", "step_budget", "step s", usd=1_500),
        "person:eve approves 0.0015 USD more of the budget of step s",
    ),
    (
        e.BudgetRaised(0, "s", 1, "person:eve", "budget", "agent ann", calls=2),
        "person:eve approves 2 calls more of the daily budget of agent ann",
    ),
    (
        e.BudgetRaised(0, "s", 1, "person:eve", "above_1_budget", "team outer", calls=2),
        "person:eve approves 2 calls more of the daily budget of team outer",
    ),
    (
        e.BudgetRaised(0, "s", 1, "person:eve", "share", "its share of what the run above may consume", calls=2),
        "person:eve approves 2 calls more of its share of what the run above may consume",
    ),
    (
        e.ShareRaised(0, "s", 1, "n1", "person:eve", "draft", 0, 9, calls=2, usd=10_000, reason="busy"),
        "person:eve approves 2 calls, 0.01 USD more for run n1 (busy)",
    ),
    (
        e.ShareRaised(0, "s", 1, "n1", "person:eve", "a", 0, 9, calls=1),
        "person:eve approves 1 call more for run n1",
    ),
    (
        e.BudgetRaised(0, "s", 1, "person:eve", "team_budget", calls=2),
        "person:eve approves 2 calls more of the team's daily budget",
    ),
    (e.QuestionExpired(0, "s", 3, "dead"), "nobody has answered in time; then: dead"),
    (e.QuestionExpired(0, "s", 3, "dead", reason="no way"), "no way"),
    (
        e.QuestionExpired(0, "s", 3, "default", {"x": msgspec.Raw(b"1")}),
        "nobody has answered in time; the default is taken: committed: wrote x",
    ),
    (e.QuestionAnswered(0, "s", 1, "person:eve", "answer", "yes"), "person:eve answers: yes"),
    (e.QuestionAnswered(0, "s", 1, "person:eve", "retry"), "person:eve has it tried again"),
    (
        e.QuestionAnswered(0, "s", 1, "person:eve", "edit", writes={"x": msgspec.Raw(b"1")}, reason="too much"),
        "person:eve edits; committed: wrote x (too much)",
    ),
    (e.QuestionAnswered(0, "s", 1, "person:eve", "reject", reason="fraud"), "person:eve rejects (fraud)"),
    (
        e.AnswerRefused(0, "s", "person:bob", "write", (e.Finding("a", "x"), e.Finding("b", "y"))),
        "person:bob can't write: x; y",
    ),
    (e.EffectRequested(0, "s", 2, "pay", "k", msgspec.Raw(b"1")), "attempt 2 asks for the effect pay (k)"),
    (e.EffectStarted(0, "s", "mail", "mail"), "effect mail begun"),
    (e.EffectStarted(0, "s", "pay", "k", 2), "effect pay (k) begun, try 2"),
    (e.EffectDone(0, "s", "k"), "effect k done"),
    (e.EffectDone(0, "s", "k", flaw="too large"), "effect k done, without a result: too large"),
    (e.EffectFailed(0, "s", "k", "declined"), "effect k not performed: declined"),
    (e.EffectBecameUnknown(0, "s", "k", "timed out"), "effect k unknown: timed out"),
    (e.BackoffEnded(0, "s"), "its wait is over"),
    (e.WaitBegun(0, "s", 1_796_115_600_000_000), "waits until 2026-12-01T09:00:00Z"),
    (e.WaitBegun(0, "s", event="paid"), "waits for paid"),
    (
        e.RunStarted(0, msgspec.Raw(b"{}"), "t", "p", parent=e.Parent("r", "a", 1)),
        "started for step a of run r",
    ),
    (e.ChildStarted(0, "s", 2, "lab", "v", "c"), "attempt 2: lab does it in run c"),
    (
        e.ChildStarted(0, "s", 2, "lab", "v", "c", 1_796_115_600_000_000),
        "attempt 2: lab does it in run c, until 2026-12-01T09:00:00Z",
    ),
    (e.ChildParked(0, "s", 1, "c", "a asks: May I?", 7), "run c waits: a asks: May I?"),
    (e.ChildEnded(0, "s", 1, "c", "succeeded"), "run c has succeeded"),
    (e.ChildEnded(0, "s", 1, "c", "cancelled", "by ann", late=True), "run c was cancelled, too late: by ann"),
    (e.ChildAbandoned(0, "s", 1, "c"), "run c has not ended in time, and is cancelled"),
    (e.WaitEnded(0, "s"), "its time has come"),
    (e.WaitEnded(0, "s", "e1", "bank", {"a": msgspec.Raw(b"1")}), "its event has come from bank (e1): wrote a"),
    (e.WaitEnded(0, "s", then="skip"), "its event has not come in time; then: skip"),
    (
        e.WaitEnded(0, "s", then="continue", writes={"a": msgspec.Raw(b"1")}),
        "its event has not come in time; then: default: wrote a",
    ),
    (e.WaitEnded(0, "s", then="dead", reason="it can't be"), "it can't be"),
    (e.EventReceived(0, "paid", "e1", "bank"), "bank sends paid (e1), which is kept until a step waits for it"),
    (e.EventRefused(0, "paid", "e1", "bank", (e.Finding("again", "no"),)), "paid (e1) of bank refused: no"),
    (e.ConflictsResolved(0, "s", (), agreed=1), "nothing contradictory; 1 field agreed"),
    (
        e.ConflictsResolved(0, "s", (), settled=(e.Settled("a.b", (), 0, "vote"),), agreed=2, left_out=("x",)),
        "1 contradiction settled: a.b by vote; 2 fields agreed; without x",
    ),
    (e.StepExpanded(0, "s", msgspec.Raw(b"[1]")), "became 1 item"),
    (e.StepExpanded(0, "s", msgspec.Raw(b"[1,2]")), "became 2 items"),
    (e.StepSkipped(0, "s", "no need"), "skipped: no need"),
    (e.DecisionCalled(0, "decide-1"), "to decide about the plan, after nothing"),
    (e.DecisionCalled(0, "decide-2", ("a", "b")), "to decide about the plan, after a, b"),
    (e.PlanRevised(0, "decide-1"), "the plan has new steps: none"),
    (
        e.PlanRevised(0, "decide-1", msgspec.Raw(b'[{"id":"x","agent":"ann","action":"act"}]')),
        "the plan has new steps: x",
    ),
    (e.PlanRevised(0, "decide-1", finished=True), "nothing more is to be done"),
    (e.StepBuried(0, "s", "no luck"), "given up: no luck"),
    (e.RunParked(0, "s asks"), "parked: s asks"),
    (e.RunCancelled(0, "ann", "enough"), "cancelled by ann: enough"),
    (e.RunReopened(0, ("s",), "ann"), "reopened by ann for s"),
    (e.RunReopened(0, ("s", "t"), "ann", "enough"), "reopened by ann for s, t: enough"),
    (e.RunFinished(0, "succeeded"), "succeeded"),
    (e.RunFinished(0, "failed", "s: no"), "failed: s: no"),
]


@pytest.mark.parametrize(("event", "words"), TOLD)
def test_an_event_in_words(event, words):
    assert sentence(event) == words


def test_none_is_forgotten():
    assert {type(event) for event, _ in TOLD} | {e.AttemptCommitted} == set(get_args(e.AnyEvent))


@pytest.mark.parametrize(
    ("writes", "deletes", "words"),
    [
        ({}, (), "nothing to write"),
        ({"a": 1}, (), "wrote a"),
        ({}, ("b",), "deleted b"),
        (dict.fromkeys("abcdef"), ("g",), "wrote a, b, c, d and 2 more and deleted g"),
    ],
)
def test_a_commit_in_words(writes, deletes, words):
    written = {path: msgspec.Raw(b"1") for path in writes}
    assert sentence(e.AttemptCommitted(0, "s", 1, written, deletes)) == f"committed: {words}"


def test_a_commit_with_effects_in_words():
    effects = (e.EffectWanted("mail", "mail", msgspec.Raw(b"1")), e.EffectWanted("pay", "k", msgspec.Raw(b"1")))
    told = sentence(e.AttemptCommitted(0, "s", 1, effects=effects))
    assert told == "committed: nothing to write; effects: mail, pay (k)"


def test_of_many_names_only_some_are_told():
    assert some(["a"]) == "a"
    assert some([*"abcdef"]) == "a, b, c, d and 2 more"


def test_a_commit_tells_what_did_not_suffice_to_refuse_it():
    found = (e.Finding("a", "too long"), e.Finding("b", "too dull"))
    written = {"x": Raw(b"1")}
    told = e.AttemptCommitted(0, "s", 1, written, score=0.75, scores={"a": 0.5, "b": 1.0}, findings=found)
    assert sentence(told) == "committed with a score of 0.75: wrote x, despite: too long; too dull"
    assert sentence(e.AttemptCommitted(0, "s", 1, written, score=1.0, scores={"a": 1.0})) == "committed: wrote x"
