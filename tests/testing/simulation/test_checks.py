"""A journal that gives the same run when it is replayed, and each way in which it may not."""

from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

import msgspec
import pytest
from msgspec import Raw

import interlock.core.events as e
from interlock.core.assess import assess
from interlock.core.context import View
from interlock.core.job import DELETE, Question, Reply, Usage
from interlock.core.machine import Machine
from interlock.core.plan import Plan
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope
from interlock.core.step import Step
from interlock.errors import AgentCrashed, AgentError, AgentRefused
from interlock.guardrails.declared import seat_of
from interlock.testing.simulation.account import Account, Broken
from interlock.testing.simulation.checks import check_outcome, check_replay
from tests.core.transcripts import Transcript, step


class Told:
    """A finished run, its account and what its journal holds."""

    def __init__(self):
        said = Transcript(
            step("a", writes=["out.a"]),
            step("b", needs=["a"], writes=["out.{step}"], for_each="out.a.list"),
            request={"q": 1},
        )
        said.begin()
        said.reply("a", Reply(writes={"out.a": {"list": [1, 2]}}, usage=Usage(10, 5)))
        said.reply("b-0", {"out.b-0": "one"})
        said.reply("b-1", {"out.b-1": "two"})
        self.stored = said.journal
        self.row = SimpleNamespace(status="succeeded")
        self.account = Account("run", said.rules)
        for data in self.stored:
            self.account.hear(e.decode(data))

    def check(self):
        check_replay(self.account, self.stored, self.row)

    def find(self, kind, step_id=""):
        return next(
            n for n, event in enumerate(self.account.events)
            if isinstance(event, kind) and getattr(event, "step", "") == step_id
        )  # fmt: skip

    def change(self, place, **fields):
        """One event is another one, in the journal and for the account: as if it had always been so."""
        changed = msgspec.structs.replace(self.account.events[place], **fields)
        self.account.events[place] = changed
        self.account.encoded[place] = self.stored[place] = e.encode(changed)


@pytest.fixture
def told():
    return Told()


def broken(told, invariant, message):
    with pytest.raises(Broken, match=message) as raised:
        told.check()
    assert (raised.value.invariant, raised.value.run_id) == (invariant, "run")


def test_a_journal_gives_the_run_it_was_written_by(told):
    told.check()


def test_a_run_can_be_checked_at_any_moment(told):
    stored, account = told.stored, Account("run", told.account.rules)
    for count in range(1, len(stored) + 1):
        account.hear(e.decode(stored[count - 1]))
        check_replay(account, stored[:count], SimpleNamespace(status=account.status))


def test_another_byte_is_noticed(told):
    told.stored[-2] = told.stored[-2].replace(b"two", b"twO")
    broken(told, "journal", "the journal holds other events than were reported as durable")


@pytest.mark.parametrize("spoil", [lambda s: s.pop(), lambda s: s.append(s[-1]), lambda s: s.reverse()])
def test_a_lost_a_doubled_or_a_moved_event_is_noticed(told, spoil):
    spoil(told.stored)
    broken(told, "journal", "the journal holds other events")


@pytest.mark.parametrize("step_id", ["a", "b-1"])
def test_another_view_hash_is_noticed(told, step_id):
    told.change(told.find(e.AttemptStarted, step_id), view="0" * 64)
    broken(told, "replay", f"the view of {step_id} has another hash when it is replayed")


def test_a_row_that_says_something_else_is_noticed(told):
    told.row.status = "running"
    broken(told, "journal", "the listed status: 'running', not 'succeeded'")


def test_other_states_are_noticed(told):
    told.account.steps["b-1"].state = "dead"
    broken(told, "replay", "'b-1': 'dead'")


def test_another_context_is_noticed(told):
    told.change(told.find(e.AttemptCommitted, "b-1"), writes={"out.b-1": Raw(b'"too"')})
    broken(told, "replay", "the replayed context: .*too.*, not .*two")


def test_another_status_is_noticed(told):
    told.account.status = told.row.status = "failed"
    broken(told, "replay", r"the replayed status and cost: \('succeeded', Cost")


def test_another_cost_is_noticed(told):
    told.account.tokens += 1
    broken(told, "replay", r"the replayed status and cost: \('succeeded', Cost")


# --- what became of a call ---

USAGE = Usage(10, 5, 0.1)


TOLD = {
    "draft": None,
    "agent": "ann",
    "step": "a",
    "action": "act",
    "instructions": "",
    "feedback": (),
    "item": None,
    "answer": "",
    "conflicts": None,
}
JOB = SimpleNamespace(**TOLD)


class Ended(NamedTuple):
    """A call of step a, as the world saw it."""

    answer: object = None
    error: BaseException | None = None
    ended: float | None = 1.0
    deadline: float = 5.0
    goes_on: bool = False
    timeout: float = 5.0
    job: object = SimpleNamespace(agent="ann", view=View.of({"q": 1}))

    @property
    def in_time(self):
        return self.ended is not None and self.ended <= self.deadline


def began(**guarded):
    roles = {"ann": Role(Scope(["act"], ["*"], ["out.*"]), **guarded)}
    account = Account("run", Rules(Plan([Step("a", "ann", "act")]), roles, guard=partial(seat_of, find=None)))
    account.hear(e.RunStarted(0, Raw(b"{}"), "team", "plan"))
    account.hear(e.AttemptStarted(0, "a", 1, "ann", ""))
    return account


def judged(answer, **guarded):
    """What the runtime makes of an answer."""
    account = began(**guarded)
    machine = Machine(account.rules)
    machine.apply(account.events[0])
    bank = machine.bank
    view = bank.view(1, account.steps["a"].duty.sight)
    given = {"bank": bank, "duty": account.steps["a"].duty, "index": 0, "limits": account.rules.limits, "view": view}
    verdict = assess(answer, **given, at_us=0, step="a", attempt=1, job=JOB)
    return verdict, Ended(answer, job=SimpleNamespace(**TOLD, view=view))


@pytest.mark.parametrize(
    "answer",
    [
        {"out.x": 1},
        Reply(writes={"out.x": {"y": [1]}, "out.z": DELETE}, output=[1], usage=USAGE, confidence=0.5),
        Reply(ask=Question("Really?", ("yes", "no")), usage=USAGE),
        Reply(writes={"q": 1}, usage=USAGE),
        Reply(writes={"out.x": {1, 2}}),
        Reply(writes={"out.x": 1}, usage=Usage(-1)),
        {"out.x": 1, "out.x.y": 2},
        "no reply",
        None,
    ],
)
def test_the_verdicts_of_the_runtime_are_in_order(answer):
    event, call = judged(answer)
    check_outcome(began(), event, call)


def test_what_fails_whenever_it_is_looked_at_is_refused_without_an_excerpt():
    event = e.AttemptRefused(0, "a", 1, (e.Finding("shape", "the reply can't be read: it raises an error"),))
    check_outcome(began(), event, Ended(object()))


def outcome_is_broken(invariant, event, call, message):
    with pytest.raises(Broken, match=message) as raised:
        check_outcome(began(), event, call)
    assert raised.value.invariant == invariant


@pytest.mark.parametrize(
    ("answer", "spoil", "message"),
    [
        ({"q": 1}, {"findings": ()}, "was refused without a reason"),
        ({"q": 1}, {"findings": (e.Finding("scope", ""),)}, "was refused without a reason"),
        ({"q": 1}, {"reply": Raw(b"null")}, "nothing is kept of what attempt 1 of a answered"),
        ({"out.x": 1, "out.x.y": 2}, {"reply": Raw(b'{"out.x":1}')}, "attempt 1 of a answered"),
        (Reply(writes={"q": 1}, usage=USAGE), {"usage": None}, "what attempt 1 of a consumed"),
    ],
)
def test_a_refusal_says_why_and_what(answer, spoil, message):
    event, call = judged(answer)
    outcome_is_broken("refusals", msgspec.structs.replace(event, **spoil), call, message)


# --- guardrails ---


def moody(draft):
    if draft.writes["out.x"] == "sad":
        raise ValueError("not in the mood")
    return 0.5


GUARDED = {"guardrails": [{"use": moody, "cost": 0}, {"confidence": {"min": 0.5, "weight": 2}}], "threshold": 0.6}


def of_x(value, confidence):
    return Reply(writes={"out.x": value}, confidence=confidence)


@pytest.mark.parametrize(
    ("answer", "kind", "score"),
    [
        (of_x("glad", 0.5), e.AttemptCommitted, 0.833333),
        (of_x("glad", 0.25), e.AttemptRefused, 0.333333),
        (of_x("sad", 1), e.AttemptRefused, 0),
        (of_x("sad", 5), e.AttemptRefused, None),
    ],
)
def test_the_verdicts_of_guardrails_are_in_order(answer, kind, score):
    event, call = judged(answer, **GUARDED)
    assert (type(event), event.score) == (kind, score)
    check_outcome(began(**GUARDED), event, call)


@pytest.mark.parametrize(
    ("confidence", "other", "spoil", "message"),
    [
        (0.5, e.AttemptRefused, {}, "is refused with .*, not below 0.6"),
        (0.25, e.AttemptCommitted, {}, "is committed with .*, below 0.6"),
        (0.5, e.AttemptCommitted, {"scores": {"moody": 1.0, "confidence": 1.0}}, "the scores of attempt 1 of a"),
        (0.5, e.AttemptCommitted, {"scores": {"moody": 0.5}}, "is committed with .*, below 0.6"),
        (0.5, e.AttemptCommitted, {"score": None, "scores": {}}, "is committed with .*, below 0.6"),
    ],
)
def test_guardrails_that_are_asked_again_say_the_same(confidence, other, spoil, message):
    event, call = judged(of_x("glad", confidence), **GUARDED)
    given = {"score": event.score, "scores": event.scores} | spoil
    if other is e.AttemptCommitted:
        told = e.AttemptCommitted(0, "a", 1, {"out.x": Raw(b'"glad"')}, confidence=confidence, **given)
    else:
        told = e.AttemptRefused(0, "a", 1, (e.Finding("moody", "no"),), Raw(b'{"out.x":"glad"}'), **given)
    with pytest.raises(Broken, match=message) as raised:
        check_outcome(began(**GUARDED), told, call)
    assert raised.value.invariant == "guardrails"


def test_what_a_guardrail_could_not_judge_is_not_committed():
    _, call = judged(of_x("sad", 1), **GUARDED)
    scores = {"moody": 0.0, "confidence": 1.0}
    told = e.AttemptCommitted(0, "a", 1, {"out.x": Raw(b'"sad"')}, confidence=1, score=0.666667, scores=scores)
    with pytest.raises(Broken, match="is committed with"):
        check_outcome(began(**GUARDED), told, call)


def test_without_guardrails_nothing_has_a_score():
    event, call = judged({"out.x": 1})
    outcome_is_broken("guardrails", msgspec.structs.replace(event, score=1.0), call, "a score, and no guardrails")


def test_a_question_is_the_one_that_was_asked():
    event, call = judged(Reply(ask=Question("Really?", ("yes", "no"))))
    for question in (Question("Really?"), Question("Rly?", ("yes", "no"))):
        spoiled = msgspec.structs.replace(event, question=question)
        outcome_is_broken("questions", spoiled, call, "attempt 1 of a asked")


@pytest.mark.parametrize(
    "spoil", [{"output": Raw(b"2")}, {"usage": None}, {"confidence": 1.0}, {"deletes": ()}, {"writes": {}}]
)
def test_a_commit_is_the_whole_reply(spoil):
    event, call = judged(Reply(writes={"out.x": 1, "out.y": DELETE}, output=1, usage=USAGE, confidence=0.5))
    outcome_is_broken("replies", msgspec.structs.replace(event, **spoil), call, "(writes of|rest of what) a")


def test_a_late_reply_is_charged():
    reply = Reply(writes={"out.x": 1}, usage=USAGE)
    check_outcome(began(), e.ReplyArrivedLate(0, "a", 1, USAGE), Ended(reply))
    outcome_is_broken("replies", e.ReplyArrivedLate(0, "a", 1), Ended(reply), "attempt 1 of a consumed")


def failed(kind="error", error="it broke", **more):
    return e.AttemptFailed(0, "a", 1, kind, error, **more)


@pytest.mark.parametrize(
    ("event", "call"),
    [
        (failed(), Ended(error=AgentError("it broke"))),
        (failed("refused", retryable=False), Ended(error=AgentRefused("it broke"))),
        (failed("crash"), Ended(error=AgentCrashed("it broke"))),
        (failed(error="KeyError: 'x' (agents.py:4 in ann)"), Ended(error=KeyError("x"))),
        (failed("timeout", "timed out after 5 s"), Ended(ended=None)),
        (failed("timeout", "timed out after 5 s"), Ended(ended=5.0)),
    ],
)
def test_a_failure_that_is_told_as_it_was(event, call):
    check_outcome(began(), event, call)


@pytest.mark.parametrize(
    ("event", "call", "invariant", "message"),
    [
        (failed(), Ended({"out.x": 1}), "failures", "failed, but the agent raised nothing"),
        (failed(error=""), Ended(error=AgentError("it broke")), "failures", "it broke"),
        (failed(error="Error"), Ended(error=KeyError("x")), "failures", "KeyError"),
        (failed(), Ended(error=AgentRefused("it broke")), "failures", "False"),
        (failed(), Ended(error=AgentCrashed("it broke")), "failures", "crash"),
        (failed("timeout", "too slow"), Ended(ended=None), "failures", "5 s"),
        (failed("timeout", "timed out after 5 s"), Ended(ended=4.9), "timeouts", "but had ended before"),
        (failed("timeout", "timed out after 5 s"), Ended(ended=None, goes_on=True), "timeouts", "was not cancelled"),
    ],
)
def test_a_failure_that_is_told_otherwise(event, call, invariant, message):
    outcome_is_broken(invariant, event, call, message)


def test_nothing_is_committed_after_its_timeout():
    event, call = judged({"out.x": 1})
    outcome_is_broken("timeouts", event, call._replace(ended=5.1), "committed after its timeout")
