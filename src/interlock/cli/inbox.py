"""What waits for a person, and how a person's decision is taken and gone on with."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from interlock import history
from interlock.agents.secret import VAULT
from interlock.core.decision import BODY_BYTES_MAX, Asked, Verb, decided
from interlock.core.effects import Entry
from interlock.core.events import EffectWanted
from interlock.core.gate import AtGate
from interlock.core.job import DELETE
from interlock.engine import clock, decisions, tasks
from interlock.engine.gates import raised_gate
from interlock.errors import DecisionRefused, InputError, InterlockError, JournalError, RunNotFound
from interlock.history import Handed, Record, Shortage
from interlock.ports import Journal, RunRow, WaitingQuestion, WaitingStep

from . import config, exits
from .approving import steps_of
from .config import Settings
from .documents import print_json
from .journals import LAST, find_run, reading, record
from .looking import row_document, user
from .replaying import call_document, verdict
from .resuming import resume_one
from .rows_json import document, is_json
from .running import How
from .text import line, plural

__all__ = ["Answer", "Changes", "How", "completions", "decide", "listed", "shown"]

COMPLETIONS_MAX = 50
STEPS_SHOWN = 8
# By run and step, the run that does the step.
Below = Mapping[tuple[str, str], str]


class Changes(msgspec.Struct, frozen=True):
    """What a person writes: PATH=VALUE, paths to delete, and a file of writes (- for standard input)."""

    set: Sequence[str]
    delete: Sequence[str]
    writes: str | None

    def __bool__(self) -> bool:
        return bool(self.set or self.delete or self.writes)

    def read(self) -> dict[str, Any]:
        """Dotted path -> value, or DELETE. Raises InputError."""
        found = _writes(self.writes) if self.writes else {}
        for text in self.set:
            path, is_there, value = text.partition("=")
            if not is_there or not path:
                raise InputError(f"--set {text!r} is no PATH=VALUE", fix="such as --set ticket.category=refund")
            found[path.strip()] = msgspec.json.decode(value) if is_json(value) else value
        return found | dict.fromkeys(self.delete, DELETE)


def _writes(name: str) -> dict[str, Any]:
    origin = "standard input" if name == "-" else name
    try:
        with open(0 if name == "-" else name, "rb", closefd=name != "-") as source:
            data = source.read(BODY_BYTES_MAX + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--writes {name} can't be read: {error}") from error
    if len(data) > BODY_BYTES_MAX:
        raise InputError(f"{origin} holds more than {BODY_BYTES_MAX:,} bytes")
    found = [value for _, value in document(text, origin)] if text.strip() else []
    if len(found) != 1 or not isinstance(found[0], dict):
        raise InputError(f"{origin} holds no writes", fix='one JSON object, such as {"ticket.category": "refund"}')
    return found[0]


class Answer(msgspec.Struct, frozen=True):
    """What a person decides, as it was typed. attempt: the one whose question they have seen; 0 if that isn't said."""

    verb: Verb
    question: str
    text: str
    changes: Changes | None
    by: str
    reason: str
    more: Sequence[str] = ()
    effect: str = ""
    attempt: int = 0

    def approved(self) -> dict[str, float]:
        """How much more of a budget is approved: what is bounded -> amount. Raises InputError."""
        found: dict[str, float] = {}
        for text in (part for given in self.more for part in given.split(",")):
            name, _, value = (piece.strip() for piece in text.partition("="))
            if name in found:
                raise InputError(f"--more says twice how much more {name}", fix="say it once")
            try:
                found[name] = int(value) if value.isdecimal() else float(value)
            except ValueError:
                message = f"--more {text!r:.60} is no amount"
                raise InputError(message, fix="such as --more usd=0.10, --more tokens=4000 or --more calls=5") from None
        return found


class Open(msgspec.Struct, frozen=True):
    """A question with all that is known about it. name: the shortest. asked: what the machine waits with.

    effect: the one that it is about, if it is about one. shortage: of the budget that it needs more of. steps: those of
    the plan that is to be approved.
    """

    name: str
    waiting: WaitingQuestion
    record: Record
    asked: Asked
    call: Handed
    verbs: Sequence[Verb]
    effect: Entry | None = None
    shortage: Shortage | None = None
    steps: Sequence[dict[str, Any]] = ()


# --- looking ---


def listed(settings: Settings, limit: int, *, json: bool) -> int:
    """List what waits."""

    async def look() -> tuple[list[WaitingQuestion], list[WaitingStep], dict[str, str], Below]:
        async with reading(settings) as journal:
            found, waits = await journal.questions(), await journal.waits()
            above = {one.run_id: await _above(journal, one.run_id) for one in found[: limit or None]}
            return found, waits, above, await _below(journal, waits[: limit or None])

    found, waits, above, below = asyncio.run(look())
    waiting = found[: limit or None]
    if json:
        told = {"questions": [_row(one, above[one.run_id]) for one in waiting], "total": len(found)}
        return print_json(told | ({"waits": [_wait(one, below) for one in waits[: limit or None]]} if waits else {}))
    from .paint_inbox import show_inbox, show_waits

    show_inbox([*_names(found)][: limit or None], len(found), clock.now_us(), settings, above)
    show_waits(waits[: limit or None], len(waits), below)
    return exits.DONE


async def _above(journal: Journal, run_id: str) -> str:
    """The run a step of which this one does; "" where there is none."""
    try:
        return (await journal.run(run_id)).parent
    except RunNotFound:
        return ""


async def _below(journal: Journal, waits: Sequence[WaitingStep]) -> Below:
    """The runs that do these steps. One that can't be read must not hide the others."""
    found: dict[tuple[str, str], str] = {}
    for run_id in dict.fromkeys(one.run_id for one in waits if not one.event):
        with suppress(JournalError):
            for child in history.children(await journal.load(run_id)):
                found[run_id, child.step] = child.run_id
    return found


def shown(settings: Settings, name: str, *, json: bool) -> int:
    """Show one question."""

    async def look() -> Open:
        async with reading(settings) as journal:
            waiting = await _find(journal, name)
            [short] = [short for short, one in _names(await journal.questions(waiting.run_id)) if one == waiting]
            run, gates = await record(journal, waiting.run_id), dict(await journal.gates())
            return _opened(short, waiting, run, gates, await decisions.team_at_gates(journal, run.row))

    found = asyncio.run(look())
    if json:
        print_json(_document(found))
    else:
        from .paint_inbox import show_question

        show_question(found, clock.now_us(), settings)
    return verdict(found.record, found.call.mismatches)


def _opened(name: str, waiting: WaitingQuestion, run: Record, gates: Mapping[str, AtGate], team: str) -> Open:
    machine = run.folded()
    n = machine.number[waiting.step]
    asked = machine.questions[n]
    step, attempt = waiting.step, history.attempt_asked_about(run.events, waiting.step, waiting.attempt)
    # A fork may ask about an effect of its origin before it calls anybody.
    call = history.handed(run, step, attempt) if attempt else history.to_be_handed(run, step)
    at = gates.get(raised_gate(team, machine.parent, asked.budget, asked.whose))
    short = history.shortage(machine, step, history.attempts(run.events), at, clock.now_us())
    effect, steps = machine.ledger.find(n, asked.effect), steps_of(asked, machine.plan)
    return Open(name, waiting, run, asked, call, asked.verbs, effect, short, steps)


def about_plan(settings: Settings, run_id: str) -> Sequence[dict[str, Any]] | None:
    """The steps of the plan that a run waits for approval of; None where it waits for something else."""

    async def look() -> Open | None:
        async with reading(settings) as journal:
            waiting = list(await journal.questions(run_id))
            if len(waiting) != 1:
                return None
            run = await record(journal, run_id)
            return _opened(run_id, waiting[0], run, {}, "")

    found = asyncio.run(look())
    return None if found is None or not found.asked.about_plan else found.steps


async def _find(journal: Journal, name: str, *, to_decide: bool = False) -> WaitingQuestion:
    """The question of this RUN, or RUN/STEP. Raises InputError, RunNotFound.

    to_decide: `last` must not be another question by now than the one that was looked at.
    """
    run, _, step = name.partition("/")
    waiting = await journal.questions()
    if run == LAST and to_decide and len({one.run_id for one in waiting}) > 1:
        names = [short for short, _ in _names(sorted(waiting, key=lambda one: -one.asked_us))]
        some = ", ".join(names[:STEPS_SHOWN]) + (", ..." if len(names) > STEPS_SHOWN else "")
        message = f"'last' may be another question than the one you have seen: {plural(len(names), 'question')} wait"
        raise InputError(f"{message}: {some}", fix=f"name one, such as {names[0]}")
    if run == LAST and waiting:
        run = max(waiting, key=lambda one: one.asked_us).run_id
    row = await find_run(journal, run)
    mine = [one for one in waiting if one.run_id == row.run_id]
    found = [one for one in mine if step in {"", one.step}]
    if len(found) == 1:
        return found[0]
    if len(mine) > 1:
        steps = ", ".join(one.step for one in mine[:STEPS_SHOWN]) + (", ..." if len(mine) > STEPS_SHOWN else "")
        message = f"{plural(len(mine), 'question')} of run {row.run_id} wait: {steps}"
        raise InputError(message, fix=f"say which: {row.run_id}/{mine[0].step}")
    if mine:
        raise InputError(f"step {step} of run {row.run_id} asks nothing", fix=f"what waits is {mine[0].step}")
    said = {"running": "goes on without one", "parked": "is parked", "cancelled": "was cancelled"}
    status = said.get(row.status, f"has {row.status}")
    fix = "see what waits: interlock inbox list"
    raise InputError(f"run {row.run_id} has no question to a person: it {status}", fix=fix)


def completions(incomplete: str) -> list[tuple[str, str]]:
    """What waits and begins so, for the shell's completion; it must never fail or make a journal."""

    async def look() -> list[WaitingQuestion]:
        async with reading(config.settings()) as journal:
            return await journal.questions()

    try:
        found = asyncio.run(look())
    except InterlockError:
        return []
    names = [*_names(found)]
    return [(name, line(one.text)) for name, one in names if name.startswith(incomplete)][:COMPLETIONS_MAX]


def _names(waiting: Sequence[WaitingQuestion]) -> Iterator[tuple[str, WaitingQuestion]]:
    """The shortest name of each question: the run alone, where it has no other."""
    count = Counter(one.run_id for one in waiting)
    for one in waiting:
        yield one.run_id if count[one.run_id] == 1 else f"{one.run_id}/{one.step}", one


# --- documents ---


def _row(one: WaitingQuestion, above: str) -> dict[str, Any]:
    """A question as `inbox list --json` prints it. above: the run a step of which its run does."""
    return {
        "run_id": one.run_id,
        "step": one.step,
        "attempt": one.attempt,
        "question": one.text,
        "asked": history.timestamp(one.asked_us),
        "due": history.timestamp(one.due_us) if one.due_us else None,
        "team": one.team,
        "source": one.source,
    } | ({"parent": above} if above else {})


def _wait(one: WaitingStep, below: Below) -> dict[str, Any]:
    """A step that waits for no person, as `inbox list --json` prints it. below: the runs that do steps."""
    child = below.get((one.run_id, one.step))
    return {
        "run_id": one.run_id,
        "step": one.step,
        "event": one.event or None,
        "since": history.timestamp(one.since_us),
        "until": history.timestamp(one.due_us) if one.due_us else None,
    } | ({"child": child} if child else {})


def _document(found: Open) -> dict[str, Any]:
    """A question as `inbox show --json` prints it: the call that led to it, with what may be done."""
    call = call_document(found.record.run_id, found.call)
    more = {
        "choices": found.asked.question.choices,
        "reply_to_approve": found.asked.reply,
        "effects_to_approve": [_effect(one) for one in found.asked.effects],
        "effect": None if found.effect is None else _effect(found.effect) | {"tries": found.effect.tries},
        "allowed": found.verbs,
        "writes": found.call.job.writes,
        "schemas": [msgspec.Raw(text.encode()) for text in found.call.job.schemas],
    }
    short = {"budget": found.shortage.to_dict()} if found.shortage else {}
    asked = {"attempt": found.call.attempt.attempt}  # of a judged reply, not that of its judge
    plan = {"plan": {"steps": found.steps}} if found.asked.about_plan else {}
    return _row(found.waiting, found.record.row.parent) | asked | more | short | plan | {"call": call}


def _effect(one: EffectWanted | Entry) -> dict[str, Any]:
    return {"effect": one.effect, "key": one.key, "payload": one.payload}


# --- deciding ---


def decide(answer: Answer, how: How, team: str | None, no_resume: bool) -> int:  # noqa: FBT001 - an option, passed on
    """Take a decision, and go on with its run unless that is left to somebody else; returns the exit code."""
    if answer.changes and answer.text:
        raise InputError(
            "a text goes to the agent, and --set, --delete and --writes stand in its place", fix="give one"
        )
    return tasks.run_main(_decide(answer, how, team, no_resume=no_resume))


async def _decide(answer: Answer, how: How, team: str | None, *, no_resume: bool) -> int:
    writes, more = answer.changes.read() if answer.changes else {}, answer.approved()
    VAULT.refresh()
    async with reading(how.settings) as journal:
        waiting = await _find(journal, answer.question, to_decide=True)
        run = await record(journal, waiting.run_id)
        decision = decided(
            waiting.step,
            answer.verb,
            text=answer.text,
            writes=writes,
            attempt=answer.attempt or waiting.attempt,
            more=more,
            effect=answer.effect,
            asked_us=waiting.asked_us,
        )
        request = decisions.request_of(waiting.run_id, decision, answer.by or user(), answer.reason, clock.now_us())
        try:
            row = await decisions.decide(journal, run.rules, request, secrets=VAULT, leave=no_resume)
        except DecisionRefused as error:
            raise _mended(error, answer, waiting, run) from error
        is_mine = bool(await journal.claim(waiting.run_id)) if not no_resume else False
    told = f"{request.by} has decided about {waiting.step} of run {row.run_id}"
    if not is_mine or row.status != "running":
        return _told(row, told, how, left=no_resume)
    exits.say(told)
    try:
        code = await resume_one(row, team, how)
        # Who gives a step up has not failed, though its run may have.
        return exits.DONE if answer.verb == "reject" and code == exits.FAILED else code
    except InterlockError as error:
        fix = how.settings.command(f"resume {row.run_id}")
        exits.say(f"the decision is recorded, but the run can't go on here; when it can: {fix}")
        exits.complain(error)
        return exits.of_error(error)


def _mended(error: DecisionRefused, answer: Answer, waiting: WaitingQuestion, run: Record) -> DecisionRefused:
    """The error with the command that works, where more of a budget is needed and nobody has said how much."""
    machine = run.folded()
    is_open = machine.number[waiting.step] in machine.questions
    short = history.shortage(machine, waiting.step, history.attempts(run.events)) if is_open else None
    if short is None or answer.more:
        return error
    from .paint_inbox import raise_command

    fix = f"approve more of it: interlock {raise_command(answer.question, short)}"
    return DecisionRefused(error.message, fix=fix)


def _told(row: RunRow, told: str, how: How, *, left: bool) -> int:
    """The decision is recorded, and somebody else goes on."""
    if how.json:
        return print_json(row_document(row))
    goes_on = f"; go on with it: {how.settings.command(f'resume {row.run_id}')}" if left else ""
    sys.stdout.write(f"{told}: it is {row.status}{goes_on if row.status == 'running' else ''}\n")
    return exits.DONE
