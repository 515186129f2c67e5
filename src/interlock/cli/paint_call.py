"""One call, drawn: what the agent was handed, what it replied, and the verdict."""

from collections.abc import Iterator
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from interlock.history import Attempt, Decided, Handed, Record

from .paint import INJECTED, INJECTED_MARK, MARKS, console
from .paint_run import INDENT, indented_json
from .text import count, duration, line, money, plain, plural

OUTCOMES = {
    "committed": MARKS["committed"],
    "judged": MARKS["committed"],
    "running": MARKS["running"],
    "drafted": MARKS["running"],
    "asked": MARKS["escalated"],
}
HASH_SHOWN = 16


def show_call(run: Record, call: Handed) -> None:
    """One call, from what was handed out to what came of it."""
    out = console()
    for part in (
        *_head(run, call),
        *_job(call),
        *view_part(call, out),
        *reply_part(call.attempt, out),
        *verdict_part(call.attempt),
    ):
        out.print(part)


def _head(run: Record, call: Handed) -> Iterator[Text]:
    told = call.attempt
    head = Text.assemble(("run ", "dim"), (run.run_id, "bold"), ("  step ", "dim"), (plain(told.step), "bold"))
    head.append("  attempt ", "dim").append(str(told.attempt), "bold")
    since = duration((told.at_us - run.events[0].at_us) / 1e6)
    yield head.append(f"  {told.agent} · event {call.seq} · {since} into the run", "dim")
    if call.calls > 1:
        lost = f"called {call.calls} times, because its driver was lost: this is the last call"
        yield Text(f"{MARKS['backing_off'][0]} {lost}", MARKS["backing_off"][1])
    if told.injected:
        yield Text(f"{INJECTED_MARK} injected: {line(told.injected)}", INJECTED)


def _job(call: Handed) -> Iterator[RenderableType]:
    job = call.job
    told: dict[str, Any] = {"action": job.action, "idempotency key": job.idempotency_key}
    if job.instructions:
        told["instructions"] = job.instructions
    if job.feedback:
        told["feedback"] = "\n".join(job.feedback)
    if job.answer:
        told["answer"] = job.answer
    if job.requests:
        told["may request"] = ", ".join(f"{one.action} of {one.to}" for one in job.requests)
    if job.index is not None:
        told["index"] = str(job.index)
    yield Text("\njob", "bold")
    yield facts(told)
    if job.draft is not None:
        yield Text("\ndraft", "bold")
        yield Padding(Text(plain(msgspec.json.encode(job.draft).decode())), (0, 0, 0, INDENT), expand=False)
    for name in ("progress", "conflicts"):
        if (shown := getattr(job, name)) is not None:
            yield Text(f"\n{name}", "bold")
            yield Padding(Text(plain(msgspec.json.encode(shown).decode())), (0, 0, 0, INDENT), expand=False)
    if job.item is not None:
        yield Text("\nitem", "bold")
        yield Padding(Text(plain(msgspec.json.encode(job.item).decode())), (0, 0, 0, INDENT), expand=False)


def facts(told: dict[str, Any]) -> Padding:
    """Names and texts, one a line."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in told.items():
        table.add_row(name, Text(plain(value)))
    return Padding(table, (0, 0, 0, INDENT), expand=False)


def view_part(call: Handed, out: Console) -> Iterator[RenderableType]:
    """What the agent was shown, and whether that is what was journaled."""
    head = Text.assemble(("\nview", "bold"), "  ")
    if any(mismatch.what == "view" for mismatch in call.mismatches):
        yield head.append(f"{MARKS['failed'][0]} not what its agent was shown", f"bold {MARKS['failed'][1]}")
    else:
        head.append(f"{MARKS['succeeded'][0]} view verified", MARKS["succeeded"][1])
        yield head.append(f"  {call.view_hash[:HASH_SHOWN]}", "dim")
    for mismatch in call.mismatches:
        wrong = Text(f"{MARKS['failed'][0]} {line(mismatch.sentence)}", MARKS["failed"][1])
        yield Padding(wrong, (0, 0, 0, INDENT), expand=False)
    yield indented_json(call.view, out)


def reply_part(told: Attempt, out: Console) -> Iterator[RenderableType]:
    """What it said."""
    parts = {"reply": told.writes or told.reply, "effects": [*told.effects] or None, "output": told.output}
    for name, value in parts.items():
        if value is not None:
            yield Text(f"\n{name}", "bold")
            yield indented_json(value, out)
    if told.question:
        yield Text("\nreply", "bold")
        choices = {"choices": " · ".join(told.question.choices)} if told.question.choices else {}
        yield facts({"asks": told.question.text, **choices})
    if told.deletes:
        yield facts({"deletes": ", ".join(told.deletes)})
    if told.request:
        yield facts({"requests": f"{told.request.action} of {told.request.to} (step {told.request.step})"})
    if told.decided:
        yield Text("\ndecided", "bold")
        yield facts(_decided(told.decided))
        if told.decided.writes:
            yield indented_json(told.decided.writes, out)


def _decided(one: Decided) -> dict[str, Any]:
    told = {"by": one.by, "decision": one.decision, "text": one.text, "reason": one.reason, "at": one.at}
    return {name: value for name, value in (told | {"deletes": ", ".join(one.deletes)}).items() if value}


def verdict_part(told: Attempt) -> Iterator[RenderableType]:
    """What came of it."""
    mark, style = OUTCOMES.get(told.outcome, MARKS["failed"])
    took = "" if told.duration_ms is None else f" after {duration(told.duration_ms / 1_000)}"
    yield Text.assemble(("\nverdict", "bold"), "  ", (f"{mark} {told.outcome}{took}", style))
    told_of: dict[str, str] = {}
    if told.score is not None:
        each = " · ".join(f"{name} {score:g}" for name, score in (told.scores or {}).items())
        told_of["score"] = f"{told.score:g}" + (f"  ({each})" if each else "")
    told_of |= {f"finding {n}": finding.message for n, finding in enumerate(told.findings, 1)}
    if told.error:
        told_of["error"] = told.error
    if told.late:
        told_of["late"] = "its reply came after that: charged, not used"
    if told.reads:
        told_of["had read"] = "all of the view" if told.reads == ("*",) else ", ".join(told.reads)
    if told.confidence is not None:
        told_of["confidence"] = f"{told.confidence:g}"
    if told.usage:
        tokens = told.usage.input_tokens + told.usage.output_tokens
        told_of["usage"] = f"{count(tokens)} {plural(tokens, 'token').split()[-1]} · {money(told.usage.usd)}"
    if told_of:
        yield facts(told_of)
