"""The verdict on what a person has decided about a step that waits for one.

People may do what an agent in their place may do, and nothing else: what they write passes the same checks of shape,
scope, size and schema, and their place in the plan is the step's. The first decision wins.
"""

from collections.abc import Mapping
from typing import Any

from . import paths
from .assess import Submission, submitted
from .decision import REASON_CHARS_MAX, TEXT_CHARS_MAX, Asked, Decision, laid_over
from .events import AnswerRefused, QuestionAnswered
from .job import DELETE
from .machine import Machine

EVERYTHING_READ = ("*",)


def settled(machine: Machine, decision: Decision, by: str, reason: str, at_us: int) -> QuestionAnswered | AnswerRefused:
    """The verdict on what a person has decided about a step of this run."""
    step, verb = decision.step, decision.verb
    n = machine.number.get(step, 0)
    asked = machine.questions.get(n)
    if asked is None or decision.attempt not in {0, asked.attempt}:
        first = f": {machine.decided_by[n]} has decided about it" if n in machine.decided_by else ""
        return refused(decision, by, "answered", f"{step} does not wait for a person{first}", at_us)
    problem = _problem(decision, asked, reason)
    if problem:
        return refused(decision, by, "decision", problem, at_us)
    if verb in {"answer", "retry", "reject"}:
        return QuestionAnswered(at_us, step, asked.attempt, by, verb, decision.text, reason=reason)
    index = machine.items[n][1] if n in machine.items else 0
    given, limits = _writes(decision, asked), machine.rules.limits
    submission = submitted(given, bank=machine.bank, duty=machine.duty(n), index=index, limits=limits)
    if submission.findings:
        return AnswerRefused(at_us, step, by, verb, tuple(submission.findings))
    reads = asked.reads if verb == "approve" else EVERYTHING_READ
    written = submission.writes, tuple(submission.deletes)
    return QuestionAnswered(at_us, step, asked.attempt, by, verb, decision.text, *written, reads, reason)


def refused(decision: Decision, by: str, code: str, message: str, at_us: int) -> AnswerRefused:
    """A decision that can't be taken, for one reason."""
    submission = Submission()
    submission.refuse(code, message)
    return AnswerRefused(at_us, decision.step[: paths.PATH_CHARS_MAX], by, decision.verb, tuple(submission.findings))


def _problem(decision: Decision, asked: Asked, reason: str) -> str:
    """Why this can't be done about it, whatever the values; "" if it can."""
    text, choices = decision.text, asked.question.choices
    if decision.verb not in asked.verbs:
        why = _WHY_NOT[decision.verb]
        return f"{decision.step} can't be dealt with by {decision.verb}: {why}"
    if len(text) > TEXT_CHARS_MAX or len(reason) > REASON_CHARS_MAX:
        return f"a text has at most {TEXT_CHARS_MAX:,} characters, and a reason {REASON_CHARS_MAX:,}"
    if decision.verb == "answer" and not text:
        return "an answer is a text"
    if decision.verb == "answer" and choices and text not in choices:
        return f"{text!r:.100} is none of the choices: {', '.join(choices)}"
    if decision.verb == "edit" and not decision.writes and not decision.deletes:
        return "an edit says what is written otherwise"
    return ""


_WHY_NOT = {
    "answer": "its agent has not asked anything",
    "approve": "there is no refused reply to approve",
    "edit": "there is no refused reply to edit",
}


def _writes(decision: Decision, asked: Asked) -> Mapping[str, Any]:
    given: dict[str, Any] = decision.writes | dict.fromkeys(decision.deletes, DELETE)
    if decision.verb == "write":
        return given
    reply = asked.reply or {}
    return laid_over(reply, given) if decision.verb == "edit" else reply
