"""What a journal must say: of each call what became of it, and when it is replayed the same run, hash for hash."""

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from interlock.core import events as e
from interlock.core import paths
from interlock.core.assess import TOKENS_MAX, USD_MAX
from interlock.core.context import View
from interlock.core.guardrail import SCORE_DIGITS, Draft, Guardrail, Opinion
from interlock.core.job import DELETE, Question, Reply, Usage
from interlock.core.machine import Machine
from interlock.errors import AgentError, ReplyRefused
from interlock.ports import RunRow

from .account import Account
from .account.commits import SCORE_TOLERANCE
from .process import Call

# How the reason begins where an answer fails whenever it is looked at.
UNREADABLE = "the reply can't be read"
# So much of an error's message must be told; the rest may be cut off.
ERROR_CHARS = 100

Outcome = e.Verdict | e.AttemptFailed | e.ReplyArrivedLate

_encode = msgspec.json.encode


def check_replay(account: Account, stored: Sequence[bytes], row: RunRow) -> None:
    """That the journal says what was written to it, and that folding it gives what the account says."""
    account.require(
        "journal", list(stored) == account.encoded, "the journal holds other events than were reported as durable"
    )
    machine = Machine(account.first_rules)
    for data in stored:
        event = e.decode(data)
        if type(event) is e.AttemptStarted or type(event) is e.ChildStarted:
            n = machine.number[event.step]
            sight = account.rules.duty(event.step, event.agent).sight
            same = machine.bank.view_hash(machine.label[n], sight) == event.view
            account.require("replay", same, f"the view of {event.step} has another hash when it is replayed")
        machine.apply(event)
    states = {machine.step_id(n): _idle(machine.state[n]) for n in range(1, len(machine.state))}
    meant = {name: _idle(state) for name, state in account.states.items()}
    account.require_same("replay", "the replayed states", states, meant)
    account.require_same("replay", "the replayed context", _encode(machine.context.to_dict()), account.encoded_context)
    told = (machine.status, machine.cost)
    account.require_same("replay", "the replayed status and cost", told, (account.status, account.cost))
    account.require_same("journal", "the listed status", row.status, account.status)


def check_outcome(account: Account, event: Outcome, call: Call) -> None:
    """That the journal says of a call what became of it, and what the agent did."""
    if (event.step, event.attempt) in account.drafted and isinstance(event, e.AttemptCommitted | e.AttemptRefused):
        return  # checked when it was drafted; what followed from its judges' words, the account knows
    match event:
        case e.AttemptCommitted():
            account.require("timeouts", call.in_time, "{} committed after its timeout", _attempt(event))
            _check_commit(account, event, call)
        case e.ReplyDrafted():
            account.require("timeouts", call.in_time, f"{_attempt(event)} is drafted after its timeout")
            _check_commit(account, event, call)
        case e.ReplyJudged():
            _check_judgement(account, event, call)
        case e.AttemptRefused():
            _check_refusal(account, event, call)
        case e.QuestionAsked() if e.says(event.plan):
            asked = e.AttemptCommitted(event.at_us, event.step, event.attempt, output=event.plan)
            decided = msgspec.json.decode(event.plan)
            account.require("approval", not decided.get("finish"), f"{_attempt(event)} asks whether to finish")
            _check_decision(account, asked, _reply(call.answer))
        case e.QuestionAsked():
            ask = cast("Question", call.answer.ask)
            told = (event.question.text, *event.question.choices, event.usage)
            meant = (_unicode(ask.text), *map(_unicode, ask.choices), _usage(call))
            account.require("questions", told == meant, f"{_attempt(event)} asked {told!r:.200}, not {meant!r:.200}")
        case e.AttemptFailed():
            _check_failure(account, event, call)
        case e.ReplyArrivedLate():
            account.require_same("replies", f"what {_attempt(event)} consumed", event.usage, _usage(call))


def _check_judgement(account: Account, event: e.ReplyJudged, call: Call) -> None:
    """That a judge's word is what it answered, and that it wrote nothing else."""
    writes = _reply(call.answer).writes
    account.require("timeouts", call.in_time, f"{_attempt(event)} has judged after its timeout")
    only = writes.keys() <= {"score", "findings"}
    account.require("judges", only, "{} judged with {!r:.200}", _attempt(event), writes)
    told = (event.score, len(event.findings), event.usage)
    meant = (writes.get("score"), sum(map(bool, writes.get("findings", ()))), _usage(call))
    account.require_same("judges", "what {} said of the draft", told, meant, _attempt(event))


def _check_commit(account: Account, event: e.AttemptCommitted | e.ReplyDrafted, call: Call) -> None:
    """That what was committed is what the agent answered, whole, and that its schemas allow it."""
    name, reply = event.step, _reply(call.answer)
    values = {paths.canonical(path): value for path, value in reply.writes.items()}
    deletes = [path for path, value in values.items() if value is DELETE]
    there = {path: value for path, value in values.items() if value is not DELETE}
    writes = {path: _encode(value) for path, value in there.items()}
    committed = {path: _encode(msgspec.json.decode(raw)) for path, raw in event.writes.items()}
    if name in account.added:
        _check_decision(account, event, reply)
        return
    if call.job.conflicts is not None:  # what is written by it, the account knows
        chosen = reply.writes or reply.output
        account.require_same("replies", "what {} has chosen", msgspec.json.decode(event.output), chosen, name)
        return
    account.require_same("replies", "the writes of {}", committed, writes, name)
    rest = (list(event.deletes), event.usage, event.confidence, msgspec.json.decode(event.output))
    meant = (deletes, reply.usage, reply.confidence, reply.output)
    account.require_same("replies", "the rest of what {} committed", rest, meant, name)
    told = [(wanted.effect, wanted.key, msgspec.json.decode(wanted.payload)) for wanted in event.effects]
    asked = [(effect.effect, effect.key or effect.effect, effect.payload) for effect in reply.effects]
    account.require_same("replies", "the effects of {}", told, asked, name)
    if event.request is not None or reply.request is not None:
        _check_request(account, event, reply)
    _check_reads(account, event, call)
    for schema in account.rules.duty(name, call.job.agent).schemas:
        account.require_same("schemas", "what the schema of {} finds", schema.findings(there), [], name)
    _check_scores(account, event, call)


def _check_decision(account: Account, event: e.AttemptCommitted | e.ReplyDrafted, reply: Reply) -> None:
    """That a decision was taken as it was given, as the output or as what is written."""
    meant = reply.writes if reply.output is None else reply.output
    told = msgspec.json.decode(event.output)
    account.require_same("replies", "what {} has decided", told, meant, event.step)
    written = {path: msgspec.json.decode(raw) for path, raw in event.writes.items()}
    finish = {paths.canonical(path): value for path, value in (told.get("finish") or {}).items()}
    account.require_same("replies", "the writes of {}", written, finish, event.step)


def _check_request(account: Account, event: e.AttemptCommitted | e.ReplyDrafted, reply: Reply) -> None:
    """That a request was granted as it was made, and none that could not be."""
    told = (event.request.action, event.request.step) if event.request else None
    meant = account.branches.meant(account.plan.steps[account.steps[event.step].number], reply.request)
    account.require_same("requests", "the request of {}", told, meant, event.step)


def _check_scores(account: Account, event: e.AttemptCommitted | e.AttemptRefused | e.ReplyDrafted, call: Call) -> None:
    """That guardrails, each asked again, give what the journal tells, and that this is enough, or too little."""
    panel, which = account.rules.duty(event.step, call.job.agent).panel, _attempt(event)
    if panel is None or (isinstance(event, e.AttemptRefused) and event.score is None):
        account.require("guardrails", getattr(event, "score", None) is None, f"{which} has a score, and no guardrails")
        return
    draft, seats = _draft(call), dict(panel.seats)
    again = {name: _score(seats[name].guardrail, draft) for name in event.scores}
    meant = {name: score or 0 for name, score in again.items()}
    account.require_same("guardrails", f"the scores of {which}", event.scores, meant)
    whole = sum(seat.weight for seat in seats.values())
    gained = sum(seats[name].weight * score for name, score in meant.items())
    open_ = sum(seat.weight for name, seat in seats.items() if name not in meant)
    least, most = gained / whole, (gained + open_) / whole
    if isinstance(event, e.ReplyDrafted):
        open_still = None not in again.values() and least < panel.threshold <= most + SCORE_TOLERANCE
        account.require("guardrails", open_still, f"{which} waits for a judge with {meant}, for {panel.threshold:g}")
    elif isinstance(event, e.AttemptCommitted):
        enough = None not in again.values() and least >= panel.threshold - SCORE_TOLERANCE
        account.require("guardrails", enough, f"{which} is committed with {meant}, below {panel.threshold:g}")
    else:
        too_little = None in again.values() or most < panel.threshold
        account.require("guardrails", too_little, f"{which} is refused with {meant}, not below {panel.threshold:g}")


def _draft(call: Call) -> Draft:
    job, reply = call.job, _reply(call.answer)
    return Draft(
        writes={paths.canonical(path): value for path, value in reply.writes.items()},
        output=reply.output,
        confidence=reply.confidence,
        view=cast("View", job.view).unread(),
        instructions=job.instructions,
        feedback=job.feedback,
        item=job.item,
        step=job.step,
        agent=job.agent,
        action=job.action,
        answer=job.answer,
    )


def _score(guardrail: Guardrail, draft: Draft) -> float | None:
    """What a guardrail gives a draft; None where it fails to judge it."""
    try:
        opinion = guardrail.check(draft)
    except Exception:  # noqa: BLE001 - whatever it raises, it has not judged
        return None
    sound = type(opinion) is Opinion and type(opinion.score) in {int, float} and 0 <= opinion.score <= 1
    if not sound:
        return None
    return 0.0 if opinion.findings and opinion.score == 1 else round(opinion.score, SCORE_DIGITS)


def _check_reads(account: Account, event: e.AttemptCommitted | e.AttemptRefused | e.ReplyDrafted, call: Call) -> None:
    read: Any = call.job.view
    reads = event.reads if event.reads == ("*",) else read.reads
    told = (event.reads, getattr(event, "coarse", read.coarse))
    account.require_same("reads", "the reads of {}", told, (reads, read.coarse), event.step)


def _check_refusal(account: Account, event: e.AttemptRefused, call: Call) -> None:
    """That a refusal says why, and what the agent answered: its writes, or an excerpt of whatever it was."""
    which, reply = _attempt(event), _reply(call.answer)
    _check_reads(account, event, call)
    _check_scores(account, event, call)
    reasons = [finding.message for finding in event.findings]
    account.require("refusals", reasons and all(reasons), f"{which} was refused without a reason")
    if reasons[0].startswith(UNREADABLE):
        return
    kept = msgspec.json.decode(event.reply)
    if isinstance(kept, dict) and call.job.conflicts is None:
        answered = {paths.canonical(path): value for path, value in reply.writes.items()}
        account.require("refusals", _encode(kept) == _encode(answered), f"{which} answered {answered!r:.200}")
    elif call.job.conflicts is None:
        there = kept == _unicode(call.error.said) if isinstance(call.error, ReplyRefused) else kept
        account.require("refusals", isinstance(kept, str) and there, f"nothing is kept of what {which} answered")
    account.require_same("refusals", f"what {which} consumed", event.usage, _usage(call))


def _check_failure(account: Account, event: e.AttemptFailed, call: Call) -> None:
    """That a call timed out when its time was over, and was stopped; or else that it failed as the journal says."""
    if event.kind == "timeout" and not (call.in_time and isinstance(call.error, AgentError)):
        was_over = call.ended is not None and call.deadline is not None and call.ended < call.deadline
        account.require("timeouts", not was_over, f"{_attempt(event)} timed out, but had ended before")
        account.require("timeouts", not call.goes_on, f"{_attempt(event)} timed out, but its task was not cancelled")
        meant = ("timeout", True, f"{call.timeout:g} s")
    else:
        account.require("failures", call.error is not None, f"{_attempt(event)} failed, but the agent raised nothing")
        assert call.error is not None
        kind = getattr(call.error, "kind", "error")
        meant = (kind, bool(getattr(call.error, "retryable", True)), _told(call.error))
    fits = (event.kind, event.retryable) == meant[:2] and meant[2] in event.error
    account.require("failures", fits, f"{_attempt(event)} failed with {meant}, but {event.error!r:.200} is told")
    if event.kind != "timeout":
        account.require_same("failures", f"what {_attempt(event)} consumed", event.usage, _usage(call))


def _told(error: BaseException) -> str:
    """What must at least be said of an error: the beginning of its message, or its type."""
    return _unicode(error.message[:ERROR_CHARS]) if isinstance(error, AgentError) else type(error).__name__


def _reply(answer: Any) -> Reply:
    """What an agent answered as a reply; an empty one where it is none."""
    if type(answer) is Reply:
        return answer
    return Reply(writes=answer if type(answer) is dict else {})


def _usage(call: Call) -> Usage | None:
    """What an agent says that a call consumed, in its reply or its error, if that can be."""
    said = call.error or call.answer
    usage = said.usage if type(said) is Reply or isinstance(said, AgentError) else None
    if type(usage) is not Usage:
        return None
    counts = (usage.input_tokens, usage.output_tokens)
    possible = all(type(count) is int and 0 <= count <= TOKENS_MAX for count in counts)
    priced = usage.usd is None or (type(usage.usd) in {int, float} and 0 <= usage.usd <= USD_MAX)
    return usage if possible and priced else None


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _attempt(event: Outcome) -> str:
    return f"attempt {event.attempt} of {event.step}"


def _idle(state: str) -> str:
    """Events don't tell a step that may start from one that may not yet: it starts when there is room."""
    return "waiting" if state == "ready" else state
