"""The verdict on what a person has decided about a step that waits for one.

People may do what an agent in their place may do, and nothing else: what they write passes the same checks of shape,
scope, size and schema, and their place in the plan is the step's. The first decision wins.
"""

from typing import Any

from interlock.errors import InputError

from . import paths
from .arrivals import lapsed
from .assess import FINDINGS_MAX, Submission, submitted, take_effects
from .budget import DAY_US, Ledger
from .commands import CallAgent
from .decision import REASON_CHARS_MAX, TEXT_CHARS_MAX, Asked, Decision, laid_over
from .delegating import OF_SHARE
from .effects import approval_question
from .events import (
    AnswerRefused,
    AttemptRefused,
    BudgetRaised,
    ChildAbandoned,
    QuestionAnswered,
    QuestionAsked,
    QuestionExpired,
    WaitEnded,
    skipped_by,
)
from .job import DELETE, Effect, Usage
from .machine import Machine
from .policy import due
from .raises import more_of, why_not
from .reconciling import answered
from .step import INDEX
from .values import decode

EVERYTHING_READ = ("*",)


Settlement = QuestionAnswered | BudgetRaised | WaitEnded | AnswerRefused


def settled(
    machine: Machine, decision: Decision, by: str, reason: str, at_us: int, *, covered: bool = False
) -> Settlement:
    """The verdict on what a person has decided about a step of this run.

    covered: what is approved of its share is set aside in the run above by now.
    """
    step, verb = decision.step, decision.verb
    n = machine.number.get(step, 0)
    asked = machine.questions.get(n)
    if n in machine.waits and verb == "skip":
        return WaitEnded(at_us, step, by=by, then="skip", reason=skipped_by(by, reason))
    if asked is None:
        first = f": {machine.decided_by[n]} has decided about it" if n in machine.decided_by else ""
        return refused(decision, by, "answered", f"{step} does not wait for a person{first}", at_us)
    if decision.attempt not in {0, asked.attempt} or decision.asked_us not in {0, asked.asked_us}:
        first = f"{machine.decided_by[n]} has decided about that, and " if n in machine.decided_by else ""
        message = f"what {step} had asked is not what it waits for now: {first}it has asked anew"
        return refused(decision, by, "answered", message, at_us)
    problem = _problem(decision, asked, reason)
    if problem:
        return refused(decision, by, "decision", problem, at_us)
    if asked.about_plan and verb == "approve":
        return QuestionAnswered(at_us, step, asked.attempt, by, verb, reason=reason, plan=asked.plan)
    if asked.approval and verb == "approve":
        return QuestionAnswered(at_us, step, asked.attempt, by, verb, reason=reason, effect=asked.effect)
    if verb in {"answer", "retry", "reject", "skip"}:
        return _said(machine, n, decision, by, reason, at_us)
    if asked.budget and verb == "approve":
        return _raised(machine, n, decision, by, reason, at_us, covered=covered)
    if n in machine.decisions:
        return _decided(machine, n, decision, by, reason, at_us)
    given, index, limits = _writes(decision, asked), machine.index_of(n), machine.rules.limits
    submission = submitted(given, bank=machine.bank, duty=machine.duty(n), index=index, limits=limits)
    if verb == "approve" and asked.effects:
        wanted = [Effect(one.effect, decode(one.payload), one.key) for one in asked.effects]
        begun = {entry.key: entry for entry in machine.ledger.of(n)}
        take_effects(wanted, machine.duty(n), limits, begun, submission)
    if submission.findings:
        return AnswerRefused(at_us, step, by, verb, tuple(submission.findings))
    reads = asked.reads if verb == "approve" else EVERYTHING_READ
    written = submission.writes, tuple(submission.deletes)
    effects = submission.effects
    return QuestionAnswered(at_us, step, asked.attempt, by, verb, decision.text, *written, reads, reason, effects)


def _said(
    machine: Machine, n: int, decision: Decision, by: str, reason: str, at_us: int
) -> QuestionAnswered | AnswerRefused:
    """A person says something, and writes nothing; of what contradicts itself, which is right."""
    asked, step, verb = machine.questions[n], decision.step, decision.verb
    if asked.contradicts and verb == "answer" and (findings := answered(machine, n, decision.text, by)):
        return AnswerRefused(at_us, step, by, verb, tuple(findings[:FINDINGS_MAX]))
    return QuestionAnswered(at_us, step, asked.attempt, by, verb, decision.text, reason=reason)


def approval_asked(machine: Machine, command: CallAgent, key: str, usage: Usage | None, at_us: int) -> QuestionAsked:
    """The question with which a call ends that waits for an effect which needs a person's approval."""
    n = command.number
    question = approval_question(machine.ledger.entry(n, key).effect, key)
    due_us = due(at_us, machine.deadline_ms(n))
    return QuestionAsked(at_us, command.step, command.attempt, question, usage, (), due_us, key)


def _decided(
    machine: Machine, n: int, decision: Decision, by: str, reason: str, at_us: int
) -> QuestionAnswered | AnswerRefused:
    """A person decides about the plan, as the agent would that is asked to."""
    if decision.deletes:
        message = f"{decision.step} decides about the plan: it has add, drop and finish, and deletes nothing"
        return refused(decision, by, "decision", message, at_us)
    taken = machine.decided_by_person(n, decision.writes)
    if isinstance(taken, AttemptRefused):
        return AnswerRefused(at_us, decision.step, by, decision.verb, taken.findings)
    told = (decision.text, taken.writes, (), EVERYTHING_READ, reason)
    return QuestionAnswered(at_us, decision.step, taken.attempt, by, decision.verb, *told, plan=taken.output)


def _raised(
    machine: Machine, n: int, decision: Decision, by: str, reason: str, at_us: int, *, covered: bool
) -> BudgetRaised | AnswerRefused:
    """A person approves more of a budget."""
    asked = machine.questions[n]
    if asked.budget == OF_SHARE and not covered:
        return refused(decision, by, "decision", "more of its share is set aside in the run above first", at_us)
    policy, whose = machine.budget_at(asked.budget, machine.duty(n))
    assert policy is not None
    if policy.daily and at_us // DAY_US > asked.asked_us // DAY_US:
        message = "the day is over whose budget was spent, and a new one has begun: have it tried again"
        return refused(decision, by, "decision", message, at_us)
    try:
        more = more_of(decision.more)
    except InputError as error:
        return refused(decision, by, "decision", str(error), at_us)
    ledger = Ledger() if policy.daily else machine.purse.ledger(whose)
    if problem := why_not(ledger, policy, more):
        return refused(decision, by, "decision", problem, at_us)
    others = tuple(
        machine.step_id(other)
        for other, one in machine.questions.items()
        if other != n and (one.budget, one.whose) == (asked.budget, whose)
    )
    approved = (more.calls, more.tokens, more.usd, others, reason, asked.asked_us)
    return BudgetRaised(at_us, decision.step, asked.attempt, by, asked.budget, whose, *approved)


def overdue(machine: Machine, now_us: int) -> list[int]:
    """The steps whose question nobody has answered in time, or whose wait is over, in the order of their deadlines."""
    due = {n: asked.due_us for n, asked in machine.questions.items()}
    due |= {n: begun.due_us for n, begun in machine.waits.items()}
    due |= {n: child.started.due_us for n, child in machine.children.items()}
    return sorted((n for n, due_us in due.items() if 0 < due_us <= now_us), key=lambda n: (due[n], n))


def expired(machine: Machine, n: int, at_us: int) -> QuestionExpired | WaitEnded | ChildAbandoned:
    """What becomes of a question that nobody has answered in time: the declared way, or death where it is barred.

    Or of a wait whose time has come, or of a run that has not done its step in time.
    """
    if n in machine.waits:
        return lapsed(machine, n, at_us)
    if n in machine.children:
        started = machine.children[n].started
        return ChildAbandoned(at_us, started.step, started.attempt, started.run_id)
    step, asked, escalation = machine.step_id(n), machine.questions[n], machine.rules.escalations[machine.label[n]]
    if asked.about_plan:
        return QuestionExpired(at_us, step, asked.attempt, "dead")
    assert escalation is not None
    if asked.effect and machine.has_committed(n):
        return QuestionExpired(at_us, step, asked.attempt, "dead")  # nothing can be done in place of what is committed
    if escalation.then != "default":
        return QuestionExpired(at_us, step, asked.attempt, escalation.then)
    duty, index, limits = machine.duty(n), machine.index_of(n), machine.rules.limits
    default = {
        path.replace(INDEX, str(index)).replace("{step}", step): value for path, value in escalation.default.items()
    }
    submission = submitted(default, bank=machine.bank, duty=duty, index=index, limits=limits)
    if submission.findings:
        reason = f"nobody has answered in time, and its default can't be taken: {submission.findings[0].message}"
        return QuestionExpired(at_us, step, asked.attempt, "dead", {}, reason)
    return QuestionExpired(at_us, step, asked.attempt, "default", submission.writes)


def refused(decision: Decision, by: str, code: str, message: str, at_us: int) -> AnswerRefused:
    """A decision that can't be taken, for one reason."""
    submission = Submission()
    submission.refuse(code, message)
    return AnswerRefused(at_us, decision.step[: paths.PATH_CHARS_MAX], by, decision.verb, tuple(submission.findings))


def _problem(decision: Decision, asked: Asked, reason: str) -> str:
    """Why this can't be done about it, whatever the values; "" if it can."""
    text, choices = decision.text, asked.question.choices
    if decision.effect and decision.effect != asked.effect:
        other = f"its effect {asked.effect!r:.100}" if asked.effect else "no effect"
        return f"the question of {decision.step} is about {other}, not about {decision.effect!r:.100}"
    if decision.verb not in asked.verbs and not (decision.verb == "skip" and asked.may_be_skipped):
        about = "whether its effect may be performed" if asked.approval else "what became of its effect"
        why = f"the question is {about}" if asked.effect else _WHY_NOT.get(decision.verb, "")
        why = "it needs more of a budget" if asked.budget else why
        why = "the question is whether a plan may run" if asked.about_plan else why
        why = "choose what is right, or reject it" if asked.contradicts else why
        return f"{decision.step} can't be dealt with by {decision.verb}: {why}"
    if len(text) > TEXT_CHARS_MAX or len(reason) > REASON_CHARS_MAX:
        return f"a text has at most {TEXT_CHARS_MAX:,} characters, and a reason {REASON_CHARS_MAX:,}"
    if decision.verb == "answer" and not text:
        return "an answer is a text"
    if decision.verb == "answer" and choices and text not in choices:
        return f"{text!r:.100} is none of the choices: {', '.join(choices)}"
    if decision.more and not (asked.budget and decision.verb == "approve"):
        return f"{decision.step} has not asked for more of a budget"
    if decision.verb == "edit" and not decision.writes and not decision.deletes:
        return "an edit says what is written otherwise"
    return ""


_WHY_NOT = {
    "answer": "its agent has not asked anything",
    "approve": "there is no refused reply to approve",
    "edit": "there is no refused reply to edit",
}


def _writes(decision: Decision, asked: Asked) -> dict[str, Any]:
    given: dict[str, Any] = decision.writes | dict.fromkeys(decision.deletes, DELETE)
    if decision.verb == "write":
        return given
    reply = asked.reply or {}
    return laid_over(reply, given) if decision.verb == "edit" else dict(reply)
