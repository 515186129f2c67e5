"""What waits for a person, drawn: as a list, and one question with all that is needed to decide."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from interlock.core.conflicts import INSTANCE
from interlock.core.events import RunStarted
from interlock.core.moments import time_text
from interlock.core.supervision import is_decision
from interlock.core.waits import awaited
from interlock.ports import WaitingQuestion, WaitingStep

from .config import Settings
from .paint import MARKS, WIDE_COLUMNS, console, next_commands
from .paint_approval import drawn
from .paint_call import facts, reply_part, verdict_part, view_part
from .paint_lists import show_table
from .paint_run import INDENT, indented_json
from .text import ago, count, duration, first_line, line, money, plain, plural, shown_team

if TYPE_CHECKING:
    from interlock.history import Shortage

    from .inbox import Open

# What is asked often comes at the end of a sentence: with less room than this, it stands below its question's name.
QUESTION_COLUMNS_MIN = 60
CHOICES_SHOWN = 5
DRAWN_SHOWN = 8


def show_inbox(
    waiting: Sequence[tuple[str, WaitingQuestion]],
    total: int,
    now_us: int,
    settings: Settings,
    above: Mapping[str, str],
) -> None:
    """The questions as a table, the oldest first, each with the name by which it is answered.

    above: by run, the one a step of which it does.
    """
    out = console()
    if not waiting:
        out.print(Text("nothing waits for a person", "dim"))
        return
    texts = [first_line(one.text) for _, one in waiting]
    show_table(_columns(waiting, now_us, above, out), texts, out, heading="text", room_min=QUESTION_COLUMNS_MIN)
    if total > len(waiting):
        out.print(Text(f"and {total - len(waiting):,} more: add --limit 0", "dim"))
    if out.is_terminal:
        out.print(next_commands([settings.command(f"inbox show {waiting[0][0]}")]))


def show_waits(waits: Sequence[WaitingStep], total: int, below: Mapping[tuple[str, str], str]) -> None:
    """What waits for no person, but for a time, an event, or the run that does it. below: those runs."""
    if not waits:
        return
    out = console()
    what = "a time, an event or another run" if below else "a time or an event"
    out.print(Text(f"\n{plural(total, 'step')} {'waits' if total == 1 else 'wait'} for {what}", "dim"))
    for one in waits:
        child = below.get((one.run_id, one.step))
        until = f" until {time_text(one.due_us)}" if one.due_us else ""
        how = f"run {line(child)} does it{until}" if child else awaited(one.event, one.due_us)
        out.print(Text(f"  {one.run_id}/{plain(one.step)}  {how}", "dim"), no_wrap=True, overflow="ellipsis")


def _columns(
    waiting: Sequence[tuple[str, WaitingQuestion]], now_us: int, above: Mapping[str, str], out: Console
) -> dict[str, list[str | Text]]:
    """What the list says of questions beside their texts."""
    columns: dict[str, list[str | Text]] = {
        "question": [Text(plain(name), "bold") for name, _ in waiting],
        "asked": [ago(one.asked_us, now_us) for _, one in waiting],
    }
    if any(one.due_us for _, one in waiting):
        columns["until"] = [_due(one.due_us, now_us) for _, one in waiting]
    if any(above.values()):
        columns["for run"] = [line(above.get(one.run_id, "")) for _, one in waiting]
    teams = [shown_team(one.source) for _, one in waiting]
    if out.width >= WIDE_COLUMNS and len(set(teams)) > 1:
        columns["team"] = [*teams]
    return columns


def _due(due_us: int, now_us: int) -> Text:
    if not due_us:
        return Text("")
    left = (due_us - now_us) / 1e6
    return Text("overdue", "red") if left <= 0 else Text(f"in {duration(left)}", "yellow")


def show_question(found: "Open", now_us: int, settings: Settings) -> None:
    """One question: what was asked, what its agent was shown, what it said, and what can be done."""
    out = console()
    for part in (
        *_head(found, now_us),
        *_question(found),
        *_budget(found),
        *_effect(found, out),
        *drawn(found.steps),
        *view_part(found.call, out),
        *_refused(found, out),
        *_may(found),
    ):
        out.print(part)
    out.print(next_commands(map(settings.command, _commands(found))))


def _head(found: "Open", now_us: int) -> Iterator[Text]:
    waiting, job, number = found.waiting, found.call.job, found.call.attempt.attempt
    head = Text.assemble(("run ", "dim"), (waiting.run_id, "bold"), ("  step ", "dim"), (plain(waiting.step), "bold"))
    attempt = f"attempt {number}" if number else "not called yet"
    what = f"{job.agent}.{job.action} · {attempt}" if job.agent else "reconciles"
    yield head.append(f"  {what} · asked {ago(waiting.asked_us, now_us)}", "dim")
    first = found.record.events[0]
    if isinstance(first, RunStarted) and first.parent is not None:
        yield Text(f"does step {line(first.parent.step)} of run {line(first.parent.run_id)}", "dim")
    if waiting.due_us:
        at = datetime.fromtimestamp(waiting.due_us / 1e6).astimezone()
        yield Text.assemble(("until ", "dim"), f"{at:%Y-%m-%d %H:%M:%S}  ", _due(waiting.due_us, now_us))


def _question(found: "Open") -> Iterator[RenderableType]:
    mark, style = MARKS["escalated"]
    short = "more of a budget is needed" if found.shortage else "why a person is needed"
    short = "a plan waits for approval" if found.asked.about_plan else short
    asks = found.asked.by_agent or found.asked.contradicts
    yield Text(f"\n{mark} {'question' if asks else short}", f"bold {style}")
    yield Padding(Text(plain(found.asked.question.text)), (0, 0, 0, INDENT), expand=False)
    if found.asked.question.choices:
        yield facts({"choices": " · ".join(found.asked.question.choices)})


def _effect(found: "Open", out: Console) -> Iterator[RenderableType]:
    """The effect that the question is about, with what it would be performed."""
    effect = found.effect
    if effect is not None:
        yield Text("\neffect", "bold")
        tries = {"tries": str(effect.tries)} if effect.tries else {}
        yield facts({"name": effect.effect, "key": effect.key, **tries})
        yield indented_json(msgspec.json.decode(effect.payload), out)


def _refused(found: "Open", out: Console) -> Iterator[RenderableType]:
    """The reply that was refused, and why; an agent that asked has replied nothing else."""
    refused = not found.asked.by_agent and found.shortage is None and not found.asked.about_plan
    if refused and found.call.attempt.attempt:
        yield from reply_part(found.call.attempt, out)
        yield from verdict_part(found.call.attempt)


def _budget(found: "Open") -> Iterator[RenderableType]:
    """Which budget is spent, by what, and what another call takes of it."""
    short = found.shortage
    if short is None:
        return
    told = {"budget": f"{line(short.words)}: {_amounts(short.limits) or 'nothing'}"}
    if short.spent is not None:
        told["consumed"] = _amounts(short.spent) or "nothing"
    if short.call:
        told["a call takes"] = f"up to {_amounts(short.call)}"
    yield facts(told)
    if not short.by:
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("consumed in this run by" if short.policy.daily else "consumed by", overflow="ellipsis")
    for heading in ("calls", "tokens", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in short.by[:DRAWN_SHOWN]:
        who = f"{plain(one.step)} · {plain(one.agent)}"
        table.add_row(who, count(one.calls), count(one.tokens), money(one.usd))
    if len(short.by) > DRAWN_SHOWN:
        table.add_row(f"and {plural(len(short.by) - DRAWN_SHOWN, 'more step')}", "", "", "")
    yield Padding(table, (0, 0, 0, INDENT), expand=False)


def _amounts(amounts: Mapping[str, float]) -> str:
    """`$0.10, 4,000 tokens, 5 calls`; what is none is left out."""
    whole = {name: plural(int(amount), name.removesuffix("s")) for name, amount in amounts.items() if amount}
    return ", ".join(money(amounts[name]) if name == "usd" else text for name, text in whole.items())


def _may(found: "Open") -> Iterator[RenderableType]:
    yield Text("\nyou may", "bold")
    words: dict[str, str] = {verb: verb for verb in found.verbs}
    if "write" in words:  # in the agent's place
        words["write"] = "answer" if "answer" in words else "answer --set"
    if found.shortage is not None:
        words["approve"] = "approve --more"
    told = {"do": ", ".join(dict.fromkeys(words.values()))}
    if effects := found.asked.effects:
        told["approve"] = f"its {plural(len(effects), 'effect')} will be performed, as above"
        told["edit, write"] = "none of them will be performed"
    if "write" in found.verbs:
        told["write"] = ", ".join(found.call.job.writes) or "nothing"
    if "write" in found.verbs and _decides(found):
        told |= {name: text for name, text in _DECISION.items() if name in found.call.job.writes}
    elif "write" in found.verbs and found.call.job.schemas:
        told["schema"] = "\n".join(found.call.job.schemas)
    yield facts(told)


def raise_command(name: str, short: "Shortage") -> str:
    """The command that approves as much more of a budget as might help."""
    amounts = {what: f"{amount:.6f}".rstrip("0").rstrip(".") for what, amount in short.suggested.items()}
    return f"inbox approve {name}" + "".join(f" --more {what}={amount}" for what, amount in amounts.items())


_DECISION = {
    "add": "new steps: [{id, agent, action, needs, reads, writes, instructions, when, ...}]",
    "drop": "steps that wait, and are not to be done: [id]",
    "finish": "nothing more is done; what the agent itself writes: {path: value}",
}


def _decides(found: "Open") -> bool:
    """Whether what is written is a decision about the plan: its schema says more than anybody reads."""
    return is_decision(found.waiting.step) and "add" in found.call.job.writes


_ARGUMENTS = {"answer": " 'TEXT'", "retry": " 'ADVICE'", "edit": " --set PATH=VALUE", "reject": " --reason 'WHY'"}


def _commands(found: "Open") -> Iterator[str]:
    name, about = found.name, ""
    # Another question may wait by the time that somebody has read this one.
    if found.asked.approval:
        about = f" --effect {shlex.quote(line(found.asked.effect))}"
    elif found.asked.attempt:
        about = f" --attempt {found.asked.attempt}"
    for verb in found.verbs:
        if verb == "write" and not found.call.job.writes:
            continue
        if verb == "approve" and found.shortage is not None:
            yield raise_command(name, found.shortage)
        elif verb == "write" and _decides(found):
            yield f"inbox answer {name} --set 'finish={{\"PATH\": VALUE}}'{about}"
        elif verb == "write":
            yield f"inbox answer {name} --set PATH=VALUE{about}"
        elif verb == "answer" and found.asked.contradicts:
            example = found.asked.question.text.partition(INSTANCE)[2].partition("\n")[0]
            yield f"inbox answer {name} {shlex.quote(line(example))}{about}"
        elif verb == "answer" and found.asked.question.choices:
            for choice in found.asked.question.choices[:CHOICES_SHOWN]:
                yield f"inbox answer {name} {shlex.quote(line(choice))}{about}"
        else:
            yield f"inbox {verb} {name}{_ARGUMENTS.get(verb, '')}{about}"
