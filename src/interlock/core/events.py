"""Events: facts about one run, in the past tense. They are what the journal stores.

Names, tags and meanings are compatibility data: a journal of today must be read by every later version. Times are
microseconds since 1970 in UTC and never decrease within a run.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Raw

from .above import Above
from .budget import WhenSpent
from .job import Question, Usage
from .states import AFTER_DECISION

NULL = Raw(b"null")
NO_STEPS = Raw(b"[]")
# What RunStarted.version says of a run that starts now. A run without one is of version 1.
FORMAT_VERSION = 1
# The end of the year 9998: in any time zone, it can be written as a date.
AT_US_MAX = 253_370_764_799_999_999
# The code of the finding that refuses a reply because its judge could not be had: nothing is said of the reply itself.
UNJUDGED = "unjudged"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason against a reply, written so that it can be fed back to the agent."""

    code: str
    message: str
    path: str = ""


class EffectWanted(msgspec.Struct, frozen=True):
    """An effect that a reply asks for. payload: canonical JSON."""

    effect: str
    key: str
    payload: Raw


class BranchRequested(msgspec.Struct, frozen=True):
    """A request that was granted. step: the branch that runs because of it; to: the agent that does that."""

    action: str
    to: str
    step: str


def says(raw: Raw) -> bool:
    """Whether a part of an event that may be left out is there."""
    return bytes(raw) != b"null"


def skipped_by(by: str, reason: str) -> str:
    """Why a step was skipped that a person did without, for people."""
    return f"{by} has skipped it" + (f": {reason}" if reason else "")


class Event(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True, gc=False):
    """A fact about one run, with the time at which it became one."""

    at_us: Annotated[int, msgspec.Meta(ge=0, le=AT_US_MAX)]


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The run that a fork goes on from: the steps of it that are tried again, by whom and why.

    changed: the paths of the context that were set for it. team: the hash of that run's team, where it is another. at:
    the step that somebody forked it at; empty where it was for what was dead. repeats_effects: those of the steps that
    are tried again are performed again. replaces: that run was under way, and was cancelled, since this one goes on in
    its place.
    """

    run_id: str
    steps: tuple[str, ...]
    by: str
    reason: str = ""
    changed: tuple[str, ...] = ()
    team: str = ""
    at: str = ""
    repeats_effects: bool = False
    replaces: bool = False


class PlanApproval(msgspec.Struct, frozen=True, omit_defaults=True):
    """That a person is asked before a plan runs. deadline_ms: how long for; 0 for ever."""

    deadline_ms: int = 0


class PlanChosen(msgspec.Struct, frozen=True):
    """Which of several plans the request of a run has, and why, in words."""

    plan: str
    why: str


class Parent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The run a step of which another one does. depth: how many runs are above that one.

    calls, tokens, usd: what the whole run may consume, beside what its own team declares; its calls draw on that, too.
    None: as much as it takes. usd: in millionths of a dollar. when_spent: what becomes of a step that needs more.
    above: the teams above whose gates its calls pass, too, the nearest first.
    """

    run_id: str
    step: str
    attempt: int
    depth: int = 1
    calls: int | None = None
    tokens: int | None = None
    usd: int | None = None
    when_spent: WhenSpent = "fail"
    above: tuple[Above, ...] = ()

    @property
    def is_bounded(self) -> bool:
        """Whether it says what the whole run may consume."""
        return (self.calls, self.tokens, self.usd) != (None, None, None)


class RunStarted(Event, frozen=True, tag="run_started"):
    """A run began: its request, and the hashes of the team and plan it is pinned to.

    faults: the hash of the faults that are injected into it on purpose; empty for an ordinary run. origin: of a fork.
    approval: a person must approve its plan first; None where nobody must. chosen: which of several plans it has; None
    where the team has one.
    parent: of a run that does a step of another.
    """

    request: Raw
    team: str
    plan: str
    version: int = 1
    faults: str = ""
    origin: Origin | None = None
    approval: PlanApproval | None = None
    chosen: PlanChosen | None = None
    parent: Parent | None = None


class AttemptStarted(Event, frozen=True, tag="attempt_started"):
    """An agent is about to be called; `view` is the hash of exactly what it may see."""

    step: str
    attempt: int
    agent: str
    view: str


class CallHeld(Event, frozen=True, tag="call_held"):
    """A gate did not let a call through: a breaker that is open, a rate, a budget.

    gate: which of these. until_us: until when; 0 for good. agent: whose call it would have been. Where other calls of
    the run have set aside what it lacks, nobody can tell until when: a step asks again at until_us only where it was
    tried before and has a `retry_for`; else it goes on with the event that frees enough.
    """

    step: str
    agent: str
    gate: str
    reason: str
    until_us: int = 0


class FaultInjected(Event, frozen=True, tag="fault_injected"):
    """A call is broken on purpose, by the test tools: `fault` says how."""

    step: str
    attempt: int
    fault: str


class AttemptCommitted(Event, frozen=True, tag="attempt_committed"):
    """A reply was accepted. Carries its writes, so that the commit is atomic with the journal append.

    score: what its guardrails gave it, 0 to 1; None where it has none. scores: of each that was asked. findings: what
    they found, and what did not suffice to refuse it. effects: what is performed now, one after another, before the
    step counts as done. request: the branch of the plan that runs because of this reply.
    """

    step: str
    attempt: int
    writes: dict[str, Raw] = {}
    deletes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    coarse: bool = False
    output: Raw = NULL
    usage: Usage | None = None
    confidence: float | None = None
    score: float | None = None
    scores: dict[str, float] = {}
    findings: tuple[Finding, ...] = ()
    effects: tuple[EffectWanted, ...] = ()
    request: BranchRequested | None = None


class AttemptRefused(Event, frozen=True, tag="attempt_refused"):
    """A reply was refused. `reply` keeps its writes as JSON, or an excerpt as a string where they are not JSON.

    score, scores: as in AttemptCommitted; None and empty where it was refused before any guardrail was asked. effects:
    those it asks for, where nothing was wrong with them; they are performed if a person approves the reply.
    """

    step: str
    attempt: int
    findings: tuple[Finding, ...]
    reply: Raw = NULL
    reads: tuple[str, ...] = ()
    usage: Usage | None = None
    score: float | None = None
    scores: dict[str, float] = {}
    effects: tuple[EffectWanted, ...] = ()


class ReplyDrafted(Event, frozen=True, tag="reply_drafted"):
    """A reply keeps to all rules, and no guardrail so far refuses it: now a judge is asked, and it waits for that.

    The fields are those of AttemptCommitted, but for `score`: AttemptCommitted or AttemptRefused follows, for the same
    attempt, and tells no usage again.
    """

    step: str
    attempt: int
    writes: dict[str, Raw] = {}
    deletes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    coarse: bool = False
    output: Raw = NULL
    usage: Usage | None = None
    confidence: float | None = None
    scores: dict[str, float] = {}
    findings: tuple[Finding, ...] = ()
    effects: tuple[EffectWanted, ...] = ()
    request: BranchRequested | None = None


class ReplyJudged(Event, frozen=True, tag="reply_judged"):
    """A judge has said what it thinks of the draft of its step. attempt: the call of the judge. score: from 0 to 1."""

    step: str
    attempt: int
    score: float
    findings: tuple[Finding, ...] = ()
    usage: Usage | None = None
    reads: tuple[str, ...] = ()


class AttemptFailed(Event, frozen=True, tag="attempt_failed"):
    """A call ended without a reply.

    kind: timeout, crash (its process died), error, or a finer word for it, such as rate_limited. retry_after_ms: for
    how long whoever failed asks to be left alone; 0 where that wasn't said.
    """

    step: str
    attempt: int
    kind: str
    error: str
    retryable: bool = True
    usage: Usage | None = None
    retry_after_ms: int = 0


class AttemptInterrupted(Event, frozen=True, tag="attempt_interrupted"):
    """A call was in flight when its driver died or stopped; found at resume."""

    step: str
    attempt: int


class ReplyArrivedLate(Event, frozen=True, tag="reply_arrived_late"):
    """An agent answered after its attempt was over. It is charged, never committed."""

    step: str
    attempt: int
    usage: Usage | None = None


class QuestionAsked(Event, frozen=True, tag="question_asked"):
    """An agent asks, and its step waits for a person; due_us: until when, 0 for ever.

    effect: the key of the effect that it is about, where it isn't its agent that asks: what became of it, or whether it
    may be performed. Where an attempt waits for that effect, it ends with the question. plan: what a person is asked to
    approve: what the attempt has decided about the plan; or the hash of the run's own plan, before anything of it runs.
    """

    step: str
    attempt: int
    question: Question
    usage: Usage | None = None
    reads: tuple[str, ...] = ()
    due_us: int = 0
    effect: str = ""
    plan: Raw = NULL


class StepEscalated(Event, frozen=True, tag="step_escalated"):
    """The attempts of a step are used up, and a person is asked; due_us: until when, 0 for ever.

    budget: the gate of the budget that a person is asked to raise, as in CallHeld, where it is that that is used up.
    """

    step: str
    attempt: int
    reason: str
    due_us: int = 0
    budget: str = ""


class QuestionExpired(Event, frozen=True, tag="question_expired"):
    """Nobody has answered in time. then: dead, fallback, or default, whose `writes` are committed.

    reason: why the declared way could not be taken, where it was another.
    """

    step: str
    attempt: int
    then: str
    writes: dict[str, Raw] = {}
    reason: str = ""


class EffectRequested(Event, frozen=True, tag="effect_requested"):
    """An agent asks for an effect, and waits for its result. payload: canonical JSON."""

    step: str
    attempt: int
    effect: str
    key: str
    payload: Raw


class EffectStarted(Event, frozen=True, tag="effect_started"):
    """An effect is about to be performed. number: of the try, from 1."""

    step: str
    effect: str
    key: str
    number: int = 1


class EffectDone(Event, frozen=True, tag="effect_done"):
    """An effect was performed. flaw: why its result could not be kept; it is done all the same."""

    step: str
    key: str
    result: Raw = NULL
    flaw: str = ""


class EffectFailed(Event, frozen=True, tag="effect_failed"):
    """It is certain that an effect was not performed."""

    step: str
    key: str
    error: str
    retryable: bool = True


class EffectBecameUnknown(Event, frozen=True, tag="effect_became_unknown"):
    """An effect was begun, and nobody knows whether it was performed. lost: its driver died or stopped meanwhile."""

    step: str
    key: str
    reason: str
    lost: bool = False


class QuestionAnswered(Event, frozen=True, tag="question_answered"):
    """A person decided about a step that waited for one; `attempt` is the one that asked.

    decision: answer or retry (`text` goes to the next attempt), approve, edit or write (`writes` and `deletes` are
    committed, written by the person), reject, or skip (the step has ended, and wrote nothing). by: who decided, as
    `person:ID`. effects: of an approved reply; they are approved with it, and performed as those of a commit. effect:
    the key of the effect that is approved, where that was the question; then nothing is committed. plan: that which is
    approved, as in QuestionAsked, or what the person has decided about it; a decision is committed next.
    """

    step: str
    attempt: int
    by: str
    decision: str
    text: str = ""
    writes: dict[str, Raw] = {}
    deletes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    reason: str = ""
    effects: tuple[EffectWanted, ...] = ()
    effect: str = ""
    plan: Raw = NULL

    @property
    def commits(self) -> bool:
        """Whether it commits its writes in the place of the agent."""
        return AFTER_DECISION.get(self.decision) == "committed" and not self.effect and not says(self.plan)


class BudgetRaised(Event, frozen=True, tag="budget_raised"):
    """A person has approved more of a budget that a step had asked for; `attempt` is the one after which it did.

    budget: its gate, as in CallHeld. whose: `agent ID`, `step ID`, or "" for that of all. calls, tokens, usd: how much
    more, in this run, or on this day of a daily one; usd in millionths of a dollar. others: the steps of this run that
    had asked for more of the same, and go on, too. by: who, as `person:ID`. asked_us: when it was asked that this
    answers. What several people approve of a day's budget that had all been asked before the first of them answered is
    one shortage: the most of it counts, not the sum.
    """

    step: str
    attempt: int
    by: str
    budget: str
    whose: str = ""
    calls: int = 0
    tokens: int = 0
    usd: int = 0
    others: tuple[str, ...] = ()
    reason: str = ""
    asked_us: int = 0


class ShareRaised(Event, frozen=True, tag="share_raised"):
    """A person has approved more of what is set aside for the run that does a step, which had asked for it.

    It is set aside with the rest until that run ends, and for each further attempt of the step. run_id, asked,
    asked_attempt, asked_us: that run, its step, after which attempt, and when. calls, tokens, usd: how much more; usd
    in millionths of a dollar.
    """

    step: str
    attempt: int
    run_id: str
    by: str
    asked: str
    asked_attempt: int
    asked_us: int
    calls: int = 0
    tokens: int = 0
    usd: int = 0
    reason: str = ""


class AnswerRefused(Event, frozen=True, tag="answer_refused"):
    """A person's decision about a step could not be taken, and changed nothing."""

    step: str
    by: str
    decision: str
    findings: tuple[Finding, ...]


class BackoffEnded(Event, frozen=True, tag="backoff_ended"):
    """The wait after a failed attempt, or at a gate, is over."""

    step: str


class WaitBegun(Event, frozen=True, tag="wait_begun"):
    """A step waits: until due_us, 0 for ever; for `event`, where it is not for a time alone."""

    step: str
    due_us: int = 0
    event: str = ""


class WaitEnded(Event, frozen=True, tag="wait_ended"):
    """A step waits no more: its time has come, or the event `event_id`, which `by` has sent and which wrote `writes`.

    then: what becomes of a step whose event has not come in time: dead, skip or continue, which commits its writes.
    reason: why the declared way could not be taken, where it was another. Without event_id, `by` is a person who has
    skipped it, and reason says so.
    """

    step: str
    event_id: str = ""
    by: str = ""
    writes: dict[str, Raw] = {}
    then: str = ""
    reason: str = ""


class EventReceived(Event, frozen=True, tag="event_received"):
    """An event has come from outside before a step waits for it, and is kept. data: canonical JSON."""

    event: str
    event_id: str
    by: str
    data: Raw = NULL


class EventRefused(Event, frozen=True, tag="event_refused"):
    """An event from outside could not be taken, and changed nothing. step: which had begun to wait, of a kept one."""

    event: str
    event_id: str
    by: str
    findings: tuple[Finding, ...]
    step: str = ""


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What some candidates say of a field: this value, or one that counts as the same. absent: that it isn't there."""

    steps: tuple[str, ...]
    value: Raw = NULL
    absent: bool = False


class Settled(msgspec.Struct, frozen=True, omit_defaults=True):
    """A contradiction, and which of what was said was taken, counted from 0; -1 for a new value.

    by: first, score or vote; `judge AGENT`, or `person:ID`. why: what decided it, as far as there is something to say.
    """

    path: str
    said: tuple[Said, ...]
    taken: int
    by: str
    why: str = ""
    anew: Raw = NULL


class ConflictsResolved(Event, frozen=True, tag="conflicts_resolved"):
    """What the candidates of a step have said was reconciled.

    reads: where the candidates stand. writes: what is committed with it; none where its judge's reply has just
    committed that.
    settled: what they contradicted each other about; agreed: how many fields they did not. left_out: steps that could
    have given a candidate, and have ended without one.
    """

    step: str
    reads: tuple[str, ...]
    writes: dict[str, Raw] = {}
    settled: tuple[Settled, ...] = ()
    agreed: int = 0
    left_out: tuple[str, ...] = ()


class StepExpanded(Event, frozen=True, tag="step_expanded"):
    """A for_each step became one step per item; the items are frozen here."""

    step: str
    items: Raw


class StepSkipped(Event, frozen=True, tag="step_skipped"):
    """A step will not run, because its condition did not hold, or because nobody has requested it.

    by: who has decided so instead, in the run that this one is a fork of: a person, or the deadline of its event.
    """

    step: str
    reason: str
    by: str = ""


class DecisionCalled(Event, frozen=True, tag="decision_called"):
    """An agent is to decide about the plan: a step of this run alone. needs: all steps that have ended by now.

    reason: why a person is to decide in its place; "" where the agent does.
    """

    step: str
    needs: tuple[str, ...] = ()
    reason: str = ""


class PlanRevised(Event, frozen=True, tag="plan_revised"):
    """What a decision has made of the plan of this run; it follows its commit, or its burial, in the same append.

    added: the new steps, each of which needs the decision. finished: nothing more is to be done. dropped: steps that
    waited, and are skipped. otherwise: the decision was given up, and the steps are those of the plan for that.
    """

    step: str
    added: Raw = NO_STEPS
    finished: bool = False
    dropped: tuple[str, ...] = ()
    otherwise: bool = False


class StepShared(Event, frozen=True, tag="step_shared"):
    """A step's commit was taken over from the run that this one is a fork of.

    attempt, agent: what made it there. changed: the paths in it that were set by whoever made the fork. request: as in
    AttemptCommitted. event_id: of the event that had ended its wait. score: what it had there, where a step goes by the
    scores of those before it.
    """

    step: str
    attempt: int
    agent: str
    writes: dict[str, Raw] = {}
    deletes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    request: BranchRequested | None = None
    event_id: str = ""
    score: float | None = None


class EffectShared(Event, frozen=True, tag="effect_shared"):
    """What became of an effect in the run that this one is a fork of; what is done there is not done again here.

    run_id: in which run it was asked for first. reason: why nobody knows whether it was performed; "" where it was.
    """

    step: str
    effect: str
    key: str
    payload: Raw
    run_id: str
    result: Raw = NULL
    flaw: str = ""
    reason: str = ""


class ChildStarted(Event, frozen=True, tag="child_started"):
    """A run of the team behind an agent is to do a step. `view` is the hash of exactly what the step may see.

    run_id: of that run. due_us: until when it must have ended; 0 for no such bound. seq: how many events it has, where
    it was there already, and goes on.
    """

    step: str
    attempt: int
    agent: str
    view: str
    run_id: str
    due_us: int = 0
    seq: int = 0


class ChildParked(Event, frozen=True, tag="child_parked"):
    """The run that does a step can be moved by a person, a time or an event alone. seq: how many events it has."""

    step: str
    attempt: int
    run_id: str
    reason: str
    seq: int


class ChildEnded(Event, frozen=True, tag="child_ended"):
    """The run that did a step has ended; the verdict on what it has come to, or a failure, follows in the same append.

    usage, calls: what it has consumed, beside what was told before of a run that has gone on after its end. writes: the
    hash of what it has come to that the step would write. late: the step has not waited for it any more.
    """

    step: str
    attempt: int
    run_id: str
    status: str
    reason: str = ""
    usage: Usage = Usage()
    calls: int = 0
    writes: str = ""
    late: bool = False


class ChildAbandoned(Event, frozen=True, tag="child_abandoned"):
    """A step waits no longer for the run that does it, whose time is over; that run is asked to cancel itself."""

    step: str
    attempt: int
    run_id: str


class StepBuried(Event, frozen=True, tag="step_buried"):
    """A step was given up: it is a dead letter. agent: whose step it is; attempts: how many it had."""

    step: str
    reason: str
    agent: str = ""
    attempts: int = 0


class RunParked(Event, frozen=True, tag="run_parked"):
    """Only a person can move the run now."""

    reason: str


class RunCancelled(Event, frozen=True, tag="run_cancelled"):
    """A person or program cancelled the run. Final. goes_on_as: the run that has taken its place, if one has."""

    by: str
    reason: str = ""
    goes_on_as: str = ""

    @property
    def sentence(self) -> str:
        """Why the run has ended, for people."""
        return f"cancelled by {self.by}" + (f": {self.reason}" if self.reason else "")


class RunReopened(Event, frozen=True, tag="run_reopened"):
    """A run goes on: these steps, which were given up, are tried again as if for the first time.

    skip: they are not tried again, but skipped: by whom and why.
    """

    steps: tuple[str, ...]
    by: str
    reason: str = ""
    skip: bool = False


class RunFinished(Event, frozen=True, tag="run_finished"):
    """The run ended: `status` is succeeded or failed."""

    status: str
    reason: str = ""


AnyEvent = (
    RunStarted
    | AttemptStarted
    | CallHeld
    | FaultInjected
    | AttemptCommitted
    | AttemptRefused
    | ReplyDrafted
    | ReplyJudged
    | AttemptFailed
    | AttemptInterrupted
    | ReplyArrivedLate
    | QuestionAsked
    | StepEscalated
    | QuestionAnswered
    | QuestionExpired
    | BudgetRaised
    | ShareRaised
    | AnswerRefused
    | EffectRequested
    | EffectStarted
    | EffectDone
    | EffectFailed
    | EffectBecameUnknown
    | BackoffEnded
    | WaitBegun
    | WaitEnded
    | EventReceived
    | EventRefused
    | ConflictsResolved
    | StepExpanded
    | StepSkipped
    | DecisionCalled
    | PlanRevised
    | StepShared
    | EffectShared
    | ChildStarted
    | ChildParked
    | ChildEnded
    | ChildAbandoned
    | StepBuried
    | RunParked
    | RunCancelled
    | RunReopened
    | RunFinished
)

Verdict = AttemptCommitted | AttemptRefused | ReplyDrafted | ReplyJudged | QuestionAsked

encode: Any = msgspec.json.Encoder().encode
decode: Any = msgspec.json.Decoder(AnyEvent).decode
