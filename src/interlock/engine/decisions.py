"""What a person decides, or an event brings, on its way into the journal, whoever drives the run."""

import asyncio
from collections.abc import Callable

import msgspec

from interlock import errors
from interlock.core import events as e
from interlock.core import given
from interlock.core.arrivals import Arrival, opened
from interlock.core.decision import NAME_CHARS_MAX, PERSON, Decision, decoded, encoded, person
from interlock.core.delegating import OF_SHARE
from interlock.core.gate import GatePolicy, Outcome, tell
from interlock.core.machine import Machine
from interlock.core.raises import why_not_today
from interlock.core.rules import Rules
from interlock.core.settlement import expired, overdue, refused, settled
from interlock.core.shares import share_raised
from interlock.errors import DecisionRefused, InputError, JournalError, cut_short
from interlock.ids import new_id
from interlock.ports import REQUEST_CHARS_MAX, Journal, Request, RunRow, Secrets

from . import clock
from .children import asks_of
from .deliveries import EVENT, arrived, came_before, not_taken
from .family import gates_of_run
from .forks import rules_of
from .gates import told_raise
from .secrecy import without_secrets
from .shares import SHARE_RAISED, SHARE_WANTED, answers, covered, told_below, wanted_in, wanting

DECIDE = "decide"
OPEN = frozenset({"running", "parked"})
# How long a living owner may take to hear of it, and whoever drives the run to answer.
OWNER_WAIT_SECONDS = 1.0
ANSWER_WAIT_SECONDS = 10.0
POLL_SECONDS = 0.05

# Who has decided, where that can't be recorded.
NOBODY = "person:unknown"
REASON_CHARS_MAX = REQUEST_CHARS_MAX
BY_CHARS_MAX = len(PERSON) + NAME_CHARS_MAX

Verdict = e.QuestionAnswered | e.BudgetRaised | e.ShareRaised | e.AnswerRefused | Arrival
Refused = e.AnswerRefused | e.EventRefused
# What is asked of whoever drives a run, and has a verdict.
DECIDED = frozenset({DECIDE, EVENT, SHARE_RAISED, SHARE_WANTED})


def request_of(run_id: str, decision: Decision, by: str, reason: str, now_us: int) -> Request:
    """A decision as it is asked of whoever drives the run. Raises InputError."""
    given.texts(run_id=run_id, reason=reason)
    request_id = f"{DECIDE}-{run_id}-{new_id(now_us)}"
    return Request(request_id, run_id, DECIDE, person(by), errors.hide(reason), encoded(decision))


def refuse_secrets(request: Request, secrets: Secrets | None) -> None:
    """A journal keeps what was decided. Raises InputError."""
    if secrets is not None and (name := secrets.among(request.body)):
        message = f"what was decided holds the value of {name}, which is secret, and a journal keeps it"
        raise InputError(message, fix="leave it out")


def verdict_on(request: Request, machine: Machine, at_us: int) -> Verdict:
    """What becomes of a decision or an event in a run that is folded so far. What can't be read is refused, too."""
    if request.kind == EVENT:
        return arrived(request, machine, at_us)
    reason = cut_short(request.reason, REASON_CHARS_MAX)
    try:
        by = person(request.by)
        if request.kind == SHARE_WANTED:
            return share_raised(machine, wanted_in(request), by, reason, at_us)
        decision = decoded(request.body)
    except InputError as error:
        return refused(Decision("", "retry"), NOBODY, "decision", error.message, at_us)
    return settled(machine, decision, by, reason, at_us, covered=request.kind == SHARE_RAISED)


def cancelled(request: Request, at_us: int) -> e.RunCancelled:
    """What is journaled of a request to cancel, which may be of any size."""
    return e.RunCancelled(at_us, cut_short(request.by, BY_CHARS_MAX), cut_short(request.reason, REASON_CHARS_MAX))


def refusal(run_id: str, verdict: Refused) -> DecisionRefused:
    """The error for whoever has decided so, or has sent an event."""
    if isinstance(verdict, e.EventRefused):
        return not_taken(run_id, verdict)
    findings = "; ".join(finding.message for finding in verdict.findings)
    fix = f"see what waits: interlock inbox show {run_id}"
    return DecisionRefused(f"run {run_id}: {findings}", fix=fix)


def accept(run_id: str, verdict: e.AnyEvent | None) -> None:
    """Raises DecisionRefused where nothing can come of what was decided or sent."""
    if isinstance(verdict, Refused) and not came_before(verdict):
        raise refusal(run_id, verdict)


def asked_above(request: Request, machine: Machine, now_us: int) -> tuple[Request, Request] | None:
    """What a decision asks of the run above first, which has set its share aside; and what its own run takes then.

    None where it asks nothing of that. Raises DecisionRefused where it can't be taken whatever the run above says.
    """
    if request.kind != DECIDE or machine.parent is None:
        return None
    decision = decoded(request.body)
    asked = machine.questions.get(machine.number.get(decision.step, 0))
    if asked is None or asked.budget != OF_SHARE or decision.verb != "approve":
        return None
    mine = covered(request, asked.asked_us)
    accept(request.run_id, verdict_on(mine, machine, machine.at_us))
    return wanting(request, decision, machine, now_us), mine


async def folded(journal: Journal, rules: Rules, run_id: str) -> Machine:
    """The machine of a stored run. Raises JournalError where its events can't be read, or don't fit together."""
    machine = Machine(rules)
    for seq, event in enumerate(await journal.load(run_id)):
        try:
            machine.apply(event)
        except Exception as error:
            message = f"run {run_id} can't be resumed: event {seq} does not follow from those before it"
            raise JournalError(message, fix=f"look at it: interlock replay {run_id}") from error
    return machine


async def settle(
    journal: Journal, machine: Machine, request: Request, secrets: Secrets | None, now_us: Callable[[], int]
) -> None:
    """Journal the verdict on a request to a run that this handle owns and nobody drives. Raises DecisionRefused."""
    verdict: e.AnyEvent = verdict_on(request, machine, max(now_us(), machine.at_us))
    if secrets:
        verdict = without_secrets(verdict, secrets)
    told = await _told(journal, machine, verdict, request.run_id) if isinstance(verdict, e.BudgetRaised) else ()
    asks = asks_of(request.run_id, machine, [verdict])
    await journal.append(request.run_id, machine.seq, [verdict], settles=[request.request_id], told=told, asks=asks)
    machine.apply(verdict)
    accept(request.run_id, verdict)


class _Named(msgspec.Struct):
    """Of the document of a team, what its gates are known by."""

    name: str = ""


async def team_at_gates(journal: Journal, row: RunRow) -> str:
    """The name by which the gates of a run's team are known."""
    return gates_of_run(msgspec.json.decode(await journal.blob(row.team), type=_Named).name, row)


async def _told(journal: Journal, machine: Machine, raised: e.BudgetRaised, run_id: str) -> list[tuple[str, Outcome]]:
    """What the gate is told whose daily budget a person has raised."""
    return told_raise(await team_at_gates(journal, await journal.run(run_id)), machine.parent, raised)


async def _refuse_today(journal: Journal, machine: Machine, run_id: str, raised: e.BudgetRaised, now_us: int) -> None:
    """A daily budget can be raised by this from where it stands, which its gate knows; else raise DecisionRefused."""
    budget, _ = machine.budget_at(raised.budget, machine.duty(machine.number[raised.step]))
    if budget is None or not budget.daily:
        return
    [(name, outcome)] = await _told(journal, machine, raised, run_id)
    at = dict(await journal.gates()).get(name)
    if at is None or outcome.more is None:
        return
    tell(at.gate, GatePolicy(budget=budget), at.outcomes)
    if problem := why_not_today(at.gate.ledger, budget, outcome.more, now_us, outcome.asked_us):
        finding = e.Finding("decision", problem)
        raise refusal(run_id, e.AnswerRefused(now_us, raised.step, raised.by, "approve", (finding,)))


async def expire(
    journal: Journal, machine: Machine, run_id: str, observe: Callable[[list[e.AnyEvent]], None], now_us: int
) -> None:
    """Journal what becomes of overdue questions and waits of a parked run that this handle owns, in deadline order."""
    seq, at_us = machine.seq, max(now_us, machine.at_us)
    facts: list[e.AnyEvent] = []
    for n in overdue(machine, now_us):
        facts.append(expired(machine, n, at_us))
        machine.apply(facts[-1])
    if facts:
        await journal.append(run_id, seq, facts, asks=asks_of(run_id, machine, facts))
        observe(facts)


async def decide(
    journal: Journal,
    rules: Rules,
    request: Request,
    *,
    secrets: Secrets | None = None,
    leave: bool = False,
    now_us: Callable[[], int] = clock.now_us,
) -> RunRow:
    """Have a decision or an event journaled; returns the run as it is then, to be gone on with by whoever owns it.

    Nobody drives the run: it is journaled here. Somebody does: they are asked to, and given ten seconds. leave: ask
    the owner of a parked run, too, and take it over only where it doesn't answer. Raises DecisionRefused.
    """
    run_id = request.run_id
    refuse_secrets(request, secrets)
    machine = await folded(journal, rules, run_id)
    if asked := asked_above(request, machine, now_us()):
        wanted, request = asked
        above = await rules_of(journal, await journal.run(wanted.run_id))
        with told_below(run_id):
            await decide(journal, above, wanted, secrets=secrets, leave=leave, now_us=now_us)
        machine = await folded(journal, rules, run_id)
    if request.kind == SHARE_RAISED and await _is_raised(journal, request):
        return await journal.run(run_id)  # whoever drives it has heard of it first
    first = verdict_on(request, machine, machine.at_us)
    if isinstance(first, e.BudgetRaised):
        await _refuse_today(journal, machine, run_id, first, max(now_us(), machine.at_us))
    accept(run_id, first)
    if came_before(first):
        return await journal.run(run_id)
    if not leave and await journal.claim(run_id):
        await settle(journal, await folded(journal, rules, run_id), request, secrets, now_us)
        return await journal.run(run_id)
    return await _ask(journal, rules, request, machine.seq, secrets, leave=leave, now_us=now_us)


async def _is_raised(journal: Journal, request: Request) -> bool:
    events = await journal.load(request.run_id)
    return any(isinstance(event, e.BudgetRaised) and _is_of(event, request) for event in events)


def _is_of(verdict: Verdict, request: Request) -> bool:
    """Whether this is what became of a request: one person may decide about several things at once."""
    if request.kind == EVENT:
        return isinstance(verdict, Arrival) and verdict.event_id == opened(request.body).id
    if isinstance(verdict, e.ShareRaised) or request.kind == SHARE_WANTED:
        return request.kind == SHARE_WANTED and answers(verdict, request)
    asked = decoded(request.body)
    if isinstance(verdict, Arrival):  # a wait that a person has ended
        return isinstance(verdict, e.WaitEnded) and (verdict.by, verdict.step) == (request.by, asked.step)
    if isinstance(verdict, e.BudgetRaised):
        same = (verdict.by, verdict.step, "approve") == (request.by, asked.step, asked.verb)
        return same and asked.asked_us in {0, verdict.asked_us}
    same = (verdict.by, verdict.step, verdict.decision) == (request.by, asked.step, asked.verb)
    return same and (isinstance(verdict, e.AnswerRefused) or verdict.text == asked.text)


async def _ask(
    journal: Journal,
    rules: Rules,
    request: Request,
    seq: int,
    secrets: Secrets | None,
    *,
    leave: bool,
    now_us: Callable[[], int],
) -> RunRow:
    """Leave it to the owner of the run, and wait for what it says."""
    run_id = request.run_id
    await journal.ask(request)
    for turn in range(round(ANSWER_WAIT_SECONDS / POLL_SECONDS)):
        for event in (await journal.load(run_id))[seq:]:
            if isinstance(event, Verdict) and _is_of(event, request):
                accept(run_id, event)
                return await journal.run(run_id)
        waited = turn * POLL_SECONDS >= OWNER_WAIT_SECONDS or not leave
        if waited and await journal.claim(run_id):
            await settle(journal, await folded(journal, rules, run_id), request, secrets, now_us)
            return await journal.run(run_id)
        await asyncio.sleep(POLL_SECONDS)
    raise JournalError(f"the process that drives run {run_id} has not answered; it will take the decision when it does")
