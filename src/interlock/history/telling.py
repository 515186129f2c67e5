"""Events in words: what happened, for people."""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from interlock.core import events as e
from interlock.core.above import is_above
from interlock.core.budget import Amounts
from interlock.core.delegating import OF_SHARE, ended
from interlock.core.effects import effect_name
from interlock.core.grown import decoded
from interlock.core.moments import time_text
from interlock.core.raises import told
from interlock.core.waits import awaited

NAMES_TOLD = 4


def visible(text: str) -> str:
    """A text for any terminal: agents' texts are hostile, and what can't be seen in them is made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in text)


def sentence(event: e.AnyEvent) -> str:  # noqa: C901, PLR0912 - the dispatcher: one case per event
    """What happened, in a few words."""
    match event:
        case e.RunStarted():
            return _started(event)
        case e.AttemptStarted():
            return f"{event.agent} called, attempt {event.attempt}"
        case e.CallHeld():
            return f"{event.agent} not called: {why_held(event.gate, event.reason)}"
        case e.FaultInjected():
            return f"injected: {event.fault}"
        case e.AttemptCommitted():
            return _committed(event)
        case e.AttemptRefused():
            return f"refused{_scored(event.score)}: {reasons(event.findings)}"
        case e.ReplyDrafted():
            return f"attempt {event.attempt} waits for a judge"
        case e.ReplyJudged():
            return _judged(event)
        case e.AttemptFailed():
            return event.error if event.kind == "timeout" else f"{_KINDS.get(event.kind, event.kind)}: {event.error}"
        case e.AttemptInterrupted():
            return "interrupted: the call was lost with its driver"
        case e.ReplyArrivedLate():
            return f"attempt {event.attempt} replied too late: charged, not used"
        case e.QuestionAsked():
            return f"asks: {event.question.text}"
        case e.StepEscalated():
            return f"needs a person: {event.reason}"
        case e.QuestionExpired():
            return _expired(event)
        case e.QuestionAnswered():
            return _answered(event)
        case e.BudgetRaised():
            return _raised(event)
        case e.ShareRaised():
            more, why = told(Amounts(event.calls, event.tokens, event.usd)), f" ({event.reason})" * bool(event.reason)
            return f"{event.by} approves {more} more for run {event.run_id}{why}"
        case e.AnswerRefused():
            return f"{event.by} can't {event.decision}: {reasons(event.findings)}"
        case e.EffectRequested():
            return f"attempt {event.attempt} asks for the effect {_named(event)}"
        case e.EffectStarted():
            return f"effect {_named(event)} begun" + (f", try {event.number}" if event.number > 1 else "")
        case e.EffectDone():
            return f"effect {event.key} done" + (f", without a result: {event.flaw}" if event.flaw else "")
        case e.EffectFailed():
            return f"effect {event.key} not performed: {event.error}"
        case e.EffectBecameUnknown():
            return f"effect {event.key} unknown: {event.reason}"
        case e.BackoffEnded():
            return "its wait is over"
        case e.WaitBegun():
            return awaited(event.event, event.due_us)
        case e.WaitEnded():
            return _waited(event)
        case e.EventReceived():
            return f"{event.by} sends {event.event} ({event.event_id}), which is kept until a step waits for it"
        case e.EventRefused():
            return f"{event.event} ({event.event_id}) of {event.by} refused: {reasons(event.findings)}"
        case e.ConflictsResolved():
            return _resolved(event)
        case e.StepExpanded():
            return f"became {_items(event)}"
        case e.StepSkipped():
            return f"skipped: {event.reason}"
        case e.DecisionCalled():
            who = f"for a person, since {event.reason}: " if event.reason else ""
            return f"{who}to decide about the plan, after {some(event.needs) or 'nothing'}"
        case e.PlanRevised():
            return _revised(event)
        case e.EffectShared():
            return _taken_over(event)
        case e.StepShared():
            return _shared(event)
        case e.ChildStarted() | e.ChildParked() | e.ChildEnded() | e.ChildAbandoned():
            return _of_child(event)
        case e.StepBuried():
            return f"given up: {event.reason}"
        case e.RunParked():
            return f"parked: {event.reason}"
        case e.RunCancelled():
            return event.sentence
        case e.RunReopened():
            what = ", who skips " if event.skip else " for "
            return f"reopened by {event.by}{what}{some(event.steps)}" + (f": {event.reason}" if event.reason else "")
        case e.RunFinished():
            return event.status + (f": {event.reason}" if event.reason else "")
        case _:
            assert_never(event)


def _of_child(event: e.ChildStarted | e.ChildParked | e.ChildEnded | e.ChildAbandoned) -> str:
    match event:
        case e.ChildStarted():
            until = f", until {time_text(event.due_us)}" if event.due_us else ""
            return f"attempt {event.attempt}: {event.agent} does it in run {event.run_id}{until}"
        case e.ChildParked():
            return f"run {event.run_id} waits: {event.reason}"
        case e.ChildEnded():
            late = ", too late" if event.late else ""
            return f"run {event.run_id} {ended(event.status)}{late}" + (f": {event.reason}" if event.reason else "")
        case e.ChildAbandoned():
            return f"run {event.run_id} has not ended in time, and is cancelled"


def _started(event: e.RunStarted) -> str:
    origin, parent = event.origin, event.parent
    faults = ", with faults injected on purpose" if event.faults else ""
    if parent is not None:
        faults = f" for step {parent.step} of run {parent.run_id}{faults}"
    if origin is None:
        chosen = f" under the plan {event.chosen.plan} ({event.chosen.why})" if event.chosen is not None else ""
        return f"started{chosen}{faults}" + (", once its plan is approved" if event.approval is not None else "")
    return f"started as {fork_of(origin)}{faults}" + (f": {origin.reason}" if origin.reason else "")


def fork_of(origin: e.Origin) -> str:
    """What a fork goes on from, and how it was made, but for the reason."""
    where = f"at {origin.at} by {origin.by}" if origin.at else f"by {origin.by}"
    where += f" for {some(origin.steps)}" if origin.steps != (origin.at,) and origin.steps else ""
    changed = f", with {some(origin.changed)} changed" if origin.changed else ""
    changed += ", under another team" if origin.team else ""
    changed += ", with its effects performed again" if origin.repeats_effects else ""
    changed += ", in its place" if origin.replaces else ""
    return f"a fork of {origin.run_id} {where}{changed}"


_KINDS = {"error": "failed", "crash": "crashed"}


_DECISIONS = {
    "answer": "answers",
    "retry": "has it tried again",
    "approve": "approves",
    "edit": "edits",
    "write": "writes in its agent's place",
    "reject": "rejects",
    "skip": "skips the step",
}


def _answered(event: e.QuestionAnswered) -> str:
    what = f" the effect {event.effect}" if event.effect else " the plan" if e.says(event.plan) else ""
    wrote = f"; committed: {_written(event)}{_asked_for(event.effects)}" if event.commits else ""
    said = f": {event.text}" if event.text else ""
    why = f" ({event.reason})" if event.reason else ""
    return f"{event.by} {_DECISIONS[event.decision]}{what}{said}{wrote}{why}"


def _raised(event: e.BudgetRaised) -> str:
    budget = budget_words(event.budget, event.whose)
    more = told(Amounts(event.calls, event.tokens, event.usd))
    others = f"; {some(event.others)} can go on, too" if event.others else ""
    return f"{event.by} approves {more} more of {budget}{others}" + (f" ({event.reason})" if event.reason else "")


def budget_words(gate: str, whose: str) -> str:
    """What a budget is called. gate, whose: as in BudgetRaised."""
    if gate == "team_budget":
        return "the team's daily budget"
    if gate == OF_SHARE:
        return whose
    daily = "daily " * (gate == "budget" or is_above(gate))
    return f"the {daily}budget of {whose or 'the run'}"


def _expired(event: e.QuestionExpired) -> str:
    if event.then == "default":
        return f"nobody has answered in time; the default is taken: committed: {_written(event)}"
    return event.reason or f"nobody has answered in time; then: {event.then}"


def _waited(event: e.WaitEnded) -> str:
    wrote = f": {_written(event)}" if event.writes else ""
    if event.event_id:
        return f"its event has come from {event.by} ({event.event_id}){wrote}"
    if not event.then:
        return "its time has come"
    return event.reason or f"its event has not come in time; then: {'default' if wrote else event.then}{wrote}"


def _resolved(event: e.ConflictsResolved) -> str:
    count = len(event.settled)
    told = [f"{one.path} by {one.by}" for one in event.settled]
    what = f"{count:,} contradiction{'s' * (count != 1)} settled: {some(told)}" if told else "nothing contradictory"
    agreed = f"; {event.agreed:,} field{'s' * (event.agreed != 1)} agreed"
    without = f"; without {some(event.left_out)}" if event.left_out else ""
    return f"{what}{agreed}{without}"


def _committed(event: e.AttemptCommitted) -> str:
    despite = f", despite: {reasons(event.findings)}" if event.findings else ""
    asked = _asked_for(event.effects) + _requested(event.request)
    return f"committed{_scored(event.score)}: {_written(event)}{asked}{despite}"


def _written(event: e.AttemptCommitted | e.QuestionAnswered | e.QuestionExpired | e.WaitEnded) -> str:
    done = [f"wrote {some([*event.writes])}"] if event.writes else []
    deletes = () if isinstance(event, e.QuestionExpired | e.WaitEnded) else event.deletes
    done += [f"deleted {some(deletes)}"] if deletes else []
    return " and ".join(done or ["nothing to write"])


def _judged(event: e.ReplyJudged) -> str:
    return f"judged with a score of {event.score:g}" + (f": {reasons(event.findings)}" if event.findings else "")


def _shared(event: e.StepShared) -> str:
    wrote = f"wrote {some([*event.writes]) or 'nothing'}{_requested(event.request)}"
    return f"taken over from the run that this is a fork of: {wrote}"


def _scored(score: float | None) -> str:
    return "" if score is None or score == 1 else f" with a score of {score:g}"


def reasons(findings: Sequence[e.Finding]) -> str:
    """What was found, in one sentence."""
    return "; ".join(finding.message for finding in findings)


def _asked_for(effects: Sequence[e.EffectWanted]) -> str:
    return f"; effects: {some([_named(effect) for effect in effects])}" if effects else ""


def _requested(request: e.BranchRequested | None) -> str:
    return f"; requests {request.action} of {request.to} (step {request.step})" if request else ""


def _named(effect: e.EffectWanted | e.EffectRequested | e.EffectStarted | e.EffectShared) -> str:
    return effect_name(effect.effect, effect.key)


def _taken_over(event: e.EffectShared) -> str:
    if event.reason:
        return f"effect {_named(event)} is unknown from run {event.run_id}: {event.reason}"
    return f"effect {_named(event)} was done in run {event.run_id}: it is not done again"


def _revised(event: e.PlanRevised) -> str:
    dropped = f"; dropped: {some(event.dropped)}" if event.dropped else ""
    if event.finished:
        return f"nothing more is to be done{dropped}"
    which = "the plan for that is taken" if event.otherwise else "the plan has new steps"
    return f"{which}: {some([step.id for step in decoded(event.added)]) or 'none'}{dropped}"


def _items(event: e.StepExpanded) -> str:
    count = len(msgspec.json.decode(event.items))
    return f"{count:,} item" + ("" if count == 1 else "s")


def why_held(gate: str, reason: str) -> str:
    """Why a gate kept a call away, where until when is told beside it; it says "its", whosever gate it is."""
    whose = reason.replace("its ", "the team's ", 1) if gate.startswith("team_") else reason
    return whose.removesuffix(" until then")


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    more = f" and {len(names) - NAMES_TOLD:,} more" if len(names) > NAMES_TOLD else ""
    return ", ".join(names[:NAMES_TOLD]) + more
