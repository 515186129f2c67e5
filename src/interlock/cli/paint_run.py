"""One run, drawn: its steps as a tree, its attempts, its context."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from rich.console import Console, Group, RenderableType
from rich.highlighter import JSONHighlighter
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from interlock.core.events import ConflictsResolved
from interlock.core.moments import time_text
from interlock.core.redrive import NOT_STARTED
from interlock.core.result import Outcome
from interlock.engine.clock import now_us
from interlock.history import (
    Attempt,
    ChildStory,
    Decided,
    EffectStory,
    Held,
    StepStory,
    Story,
    fork_of,
    settled_line,
    some,
    why_held,
)

from .config import Settings
from .paint import INJECTED, MARKS, console, injected, marked, next_commands
from .text import clock, count, duration, line, money, plain, plural, shown_team

ITEMS_SHOWN = 20
RUNS_SHOWN = 3
NAME_COLUMNS_MAX = 32
BRANCH_COLUMNS = 4
CONTEXT_LINES_MAX = 80
CONTEXT_COLUMNS_MAX = 500
INLINE_COLUMNS_MAX = 100
INDENT = 2
UNDER_WAY = frozenset({"running", "backing_off", "ready", "performing"})
# How an effect that stands so is marked: as a step would be.
EFFECT_MARKS = {
    "requested": "ready",
    "started": "running",
    "done": "committed",
    "failed": "failed",
    "rejected": "dead",
    "unknown": "escalated",
}
# How an attempt came out; red where it is none of these.
_STYLES = {"committed": "green", "judged": "green", "running": "cyan", "drafted": "cyan", "asked": "yellow"}


def show_story(story: Story, settings: Settings) -> None:
    """One run: its head, its steps as a tree, its context, and what to do next."""
    out = console()
    out.print(_head(story))
    out.print(steps_tree(story))
    for event in story.kept:
        out.print(Text(f"kept: {line(event.event)} ({line(event.event_id)}), sent by {line(event.by)}", "dim"))
    out.print(Text("\ncontext", "bold"))
    out.print(indented_json(story.context, out))
    _print_result(story.result, out)
    if story.status == "running":
        out.print(next_commands([settings.command(f"resume {story.row.run_id}")]))
    elif story.status == "parked":
        out.print(next_commands(_moves(story, settings)))
    elif commands := [*_mends(story, settings)]:
        out.print(next_commands(commands))


def _mends(story: Story, settings: Settings) -> Iterator[str]:
    """What helps a failed run: why its step was given up, and having that done again."""
    dead = _fatal(story)
    if dead is None:
        return
    yield settings.command(f"dlq show {_innermost(story, dead)}")
    run = story.row.run_id
    yield settings.command(f"fork {run} --at {dead.id}" if _is_used(story, dead) else f"retry {run} {dead.id}")


def _is_used(story: Story, dead: StepStory) -> bool:
    """Whether something that comes after a dead step has started, so that it can't be tried again in its run."""
    after = {dead.item_of or dead.id}
    later = [step for step in story.steps if not step.item_of]
    while more := [step for step in later if step.id not in after and not after.isdisjoint(step.needs)]:
        after.update(step.id for step in more)
        if any(step.state not in NOT_STARTED for step in more):
            return True
    return False


def _fatal(story: Story) -> StepStory | None:
    """The step, or item, for which a run has failed."""
    if story.status != "failed":
        return None
    groups = {step.item_of for step in story.steps}
    dead = [step for step in story.steps if step.state == "dead" and step.id not in groups]
    return next((step for step in dead if story.reason.startswith(f"{step.id}: ")), dead[0] if dead else None)


def _innermost(story: Story, dead: StepStory) -> str:
    """The dead letter that says why a step was given up: of the run that did it, if that has one."""
    child = next((child for child in reversed(story.children) if child.step == dead.id), None)
    inner = story.runs.get(child.run_id) if child is not None else None
    below = _fatal(inner) if inner is not None else None
    return f"{story.row.run_id}/{dead.id}" if inner is None or below is None else _innermost(inner, below)


def _moves(story: Story, settings: Settings) -> Iterator[str]:
    """What moves a parked run."""
    for step in story.steps:
        if step.state == "escalated":
            yield settings.command(f"inbox show {story.row.run_id}/{step.id}")
            return
    for inner in story.runs.values():
        if inner.status == "parked":
            yield from _moves(inner, settings)
    waiting = [(step, step.begun) for step in story.steps if step.begun is not None]
    for words in dict.fromkeys(one.event + " --data JSON" * step.takes_data for step, one in waiting if one.event):
        yield settings.command(f"event {story.row.run_id} {words}")
    if any(one.due_us for _, one in waiting):
        yield settings.command(f"resume {story.row.run_id}") + "   # when its time has come"


def _print_result(result: Outcome, out: Console) -> None:
    """What the run resulted in; a text as it reads."""
    if result.lacking:
        out.print(Text(f"\nno result: {line(result.lacking)}", "yellow"))
    elif result.value is not None:
        out.print(Text("\nresult", "bold"))
        value = result.value
        is_text = isinstance(value, str)
        shown = Padding(Text(plain(value)), (0, 0, 0, INDENT), expand=False) if is_text else indented_json(value, out)
        out.print(shown)


def _facts(story: Story) -> list[str]:
    """How long a run took, and what it has consumed."""
    cost = story.cost
    return [
        duration((story.last_us - story.started_us) / 1e6),
        plural(cost.calls, "call"),
        *([f"{count(cost.tokens)} tokens", money(cost.usd)] if cost.tokens or cost.usd else []),
    ]


def _head(story: Story) -> RenderableType:
    facts = [*_facts(story), *([shown_team(story.row.source)] if story.row.source else [])]
    head = Text.assemble(("run ", "dim"), (story.row.run_id, "bold"), "  ", marked(story.status))
    head.append("  " + " · ".join(facts), "dim")
    lines = [head]
    if story.reason:
        lines.append(Text(plain(story.reason), MARKS[story.status][1]))
    if above := story.parent:
        lines.append(Text(f"does step {line(above.step)} of run {line(above.run_id)}", "dim"))
    if story.chosen is not None:
        lines.append(Text(f"plan {line(story.chosen.plan)} ({line(story.chosen.why)})", "dim"))
    if origin := story.origin:
        why = f": {line(origin.reason)}" if origin.reason else ""
        lines.append(Text(f"{line(fork_of(origin))}{why}", "dim"))
    if story.faults:
        lines.append(injected(story.faults))
    return Group(*lines)


def steps_tree(story: Story) -> Tree:
    """Steps in plan order; those of one stage, which may run at the same time, under one branch."""
    tree = Tree(Text("steps", "bold"), guide_style="dim", highlight=False)
    _add_steps(tree, story)
    return tree


def _add_steps(tree: Tree, story: Story) -> None:
    """The steps of a run; below one that is done by another run, that one with its steps."""
    attempts: dict[str, list[Attempt]] = {}
    for attempt in story.attempts:
        attempts.setdefault(attempt.step, []).append(attempt)
    effects: dict[str, list[EffectStory]] = {}
    for effect in story.effects:
        effects.setdefault(effect.step, []).append(effect)
    stages: dict[int, list[StepStory]] = {}
    for step in story.steps:
        stages.setdefault(step.stage, []).append(step)
    before: set[str] = set()
    alone = {stage for stage, members in stages.items() if sum(not step.item_of for step in members) == 1}
    width = max(len(step.id) + BRANCH_COLUMNS * (step.stage not in alone) for step in story.steps if not step.item_of)
    width = min(NAME_COLUMNS_MAX, width)
    for stage, members in sorted(stages.items()):
        whole = [step for step in members if not step.item_of]
        branch = tree if stage in alone else tree.add(Text(f"{len(whole)} in parallel", "dim"))
        columns = width - BRANCH_COLUMNS * (stage not in alone)
        for step in whole:
            items = [item for item in members if item.item_of == step.id]
            node = branch.add(_step_line(_above(step, story), attempts.get(step.id, []), columns, before, len(items)))
            _add_details(node, attempts.get(step.id, []), step.held)
            _add_settled(node, step.resolved)
            _add_effects(node, effects.get(step.id, []))
            _add_runs(node, step.id, story)
            _add_items(node, items, attempts, effects, story)
        before = {step.id for step in whole}


def _above(step: StepStory, story: Story) -> StepStory:
    """A step as it is told above the run that does it, which says why it has failed, or what it waits for."""
    child = next((child for child in reversed(story.children) if child.step == step.id), None)
    if child is None or child.run_id not in story.runs:
        return step
    is_parked = step.state == "running" and story.runs[child.run_id].status == "parked"
    said_below = step.reason.startswith(f"run {child.run_id} ")
    state, reason = "awaiting" if is_parked else step.state, "" if said_below else step.reason
    return msgspec.structs.replace(step, state=state, reason=reason)


def _add_runs(node: Tree, step: str, story: Story) -> None:
    """The runs that do a step, or did; of many, the last."""
    mine = [child for child in story.children if child.step == step]
    if len(mine) > RUNS_SHOWN:
        node.add(Text(f"{plural(len(mine) - RUNS_SHOWN, 'earlier run')}", "dim"))
    for child in mine[-RUNS_SHOWN:]:
        inner = story.runs.get(child.run_id)
        branch = node.add(_run_line(child, inner))
        if inner is not None:
            _add_steps(branch, inner)


def _run_line(child: ChildStory, inner: Story | None) -> Text:
    status, reason = (child.status, child.reason) if inner is None else (inner.status, inner.reason)
    text = Text.assemble("run ", (line(child.run_id), "bold"), "  ", marked(status), style="dim")
    if inner is not None:
        text.append("  " + " · ".join(_facts(inner)))
    text.append("  the step waits for it no longer" if child.given_up else "")
    # Of one that waits for a person, the step that asks says why.
    return text.append(f"  {line(reason)}" if reason and (inner is None or status != "parked") else "")


def _step_line(step: StepStory, attempts: Sequence[Attempt], width: int, before: set[str], items: int) -> Text:
    mark, style = MARKS[step.state]
    text = Text.assemble((f"{mark} {plain(step.id):<{width}}", style), "  ", plain(_does(step)))
    text.append("  " + _outcome(step, attempts), "dim" if step.state == "committed" else style)
    text.append(f"  {plural(items, 'item')}" if items else "", "dim")
    text.append(_requested(attempts))
    if set(step.needs) != before and step.needs:
        text.append(f"  after {', '.join(step.needs)}", "dim")
    return text


def _does(step: StepStory) -> str:
    """What a step waits for, reconciles, or has its agent do."""
    if step.agent:
        return f"{step.agent}.{step.action}"
    return step.waits_for or step.reconciles


def _requested(attempts: Sequence[Attempt]) -> str:
    request = next((one.request for one in reversed(attempts) if not one.judges), None)
    return f"  requests {line(request.action)} of {request.to}" if request else ""


def _outcome(step: StepStory, attempts: Sequence[Attempt]) -> str:
    """A few words on how a step ended, or what it is at."""
    if step.state == "committed" and attempts:
        took = duration((attempts[-1].ended_us - attempts[0].at_us) / 1e6)
        return took if len(attempts) == 1 else f"{took} · {len(attempts)} attempts"
    if any(held.goes_on for held in step.held):
        return "waits at a gate"
    if step.begun is not None and step.state == "awaiting":
        return f"until {time_text(step.begun.due_us)}" if step.begun.due_us else "for ever"
    if step.state == "committed" and step.waits_for:
        return line(step.reason) or ("it came" if step.waits_for.startswith("awaits") else "over")
    if step.resolved is not None:
        count = len(step.resolved.settled)
        return f"{plural(count, 'contradiction')} settled" if count else "nothing contradicted itself"
    state = step.state.replace("_", " ")
    told = step.state in {"running", "backing_off", "ready", "performing"} or (
        attempts and step.reason in _said(attempts[-1])
    )
    return state if told or not step.reason else f"{state}: {line(step.reason)}"


def _add_details(node: Tree, attempts: Sequence[Attempt], held: Sequence[Held] = ()) -> None:
    """The gates that kept calls away; the single attempts, where more is to be said than that one was committed."""
    plainly = len(attempts) == 1 and attempts[0].outcome == "committed"
    plainly = plainly and not attempts[0].injected and not attempts[0].findings
    told: list[Attempt | Held] = [*held, *(() if plainly else attempts)]
    for one in sorted(told, key=lambda one: one.at_us):
        node.add(_held_line(one) if isinstance(one, Held) else _attempt_line(one))


def _add_settled(node: Tree, resolved: ConflictsResolved | None) -> None:
    """What contradicted itself, and what was taken."""
    settled = resolved.settled if resolved is not None else ()
    for one in settled[:ITEMS_SHOWN]:
        node.add(Text.assemble((f"{line(one.path)} ", "bold"), line(settled_line(one))))
    if len(settled) > ITEMS_SHOWN:
        node.add(Text(f"and {plural(len(settled) - ITEMS_SHOWN, 'more contradiction')}", "dim"))
    if resolved is not None and resolved.left_out:
        node.add(Text(f"without {line(some(resolved.left_out))}", "dim"))


def _attempt_line(attempt: Attempt) -> Text:
    style = _STYLES.get(attempt.outcome, "red")
    took = "" if attempt.duration_ms is None else f" after {duration(attempt.duration_ms / 1_000)}"
    text = Text.assemble((f"{attempt.attempt} ", "dim"), (attempt.outcome + took, style), f"  {attempt.agent}")
    said = line(_said(attempt))
    late = "its reply came later and was not used" if attempt.late else ""
    text.append(f"  injected: {line(attempt.injected)}" if attempt.injected else "", INJECTED)
    score = "" if attempt.score is None or attempt.score == 1 else f"score {attempt.score:g}"
    text.append("".join(f"  {part}" for part in (score, said, late) if part))
    return text.append(f"  {line(_decided(attempt.decided))}", "green") if attempt.decided else text


def _decided(one: Decided) -> str:
    """What a person decided, in short."""
    said = f": {one.text}" if one.text else ""
    return f"{one.by}: {one.decision}{said}" + (f" ({one.reason})" if one.reason else "")


def _held_line(held: Held) -> Text:
    """Who was not called, why, and how long that took."""
    mark, style = MARKS["backing_off"]
    times = plural(held.times, "time") if held.times > 1 else ""
    waited = f"{duration(held.waited_us / 1e6)} in all" if held.waited_us else ""
    text = Text.assemble((f"{mark} held", style), f"  {held.agent}  {line(why_held(held.gate, held.reason))}")
    until = f"until {clock(held.until_us, now_us())}" if held.goes_on and held.until_us else ""
    text.append(f"  {until}" if until else "", style)
    said = ", ".join(part for part in (times, waited) if part)
    return text.append(f"  {said}" if said else "", "dim")


def _said(attempt: Attempt) -> str:
    """Why an attempt was not committed, or what was found and did not suffice to refuse it."""
    question = attempt.question.text if attempt.question else ""
    return "; ".join(finding.message for finding in attempt.findings) or attempt.error or question


def _add_effects(node: Tree, effects: Sequence[EffectStory]) -> None:
    """What the step does out there; of many effects, those that need a look come first."""
    for effect in sorted(effects, key=lambda effect: effect.state == "done")[:ITEMS_SHOWN]:
        node.add(effect_line(effect))
    if len(effects) > ITEMS_SHOWN:
        node.add(Text(f"and {plural(len(effects) - ITEMS_SHOWN, 'more effect')}", "dim"))


def effect_line(effect: EffectStory) -> Text:
    """An effect and how it stands."""
    mark, style = MARKS[EFFECT_MARKS[effect.state]]
    name = effect.effect if effect.key == effect.effect else f"{effect.effect} ({effect.key})"
    text = Text.assemble((f"{mark} {line(name)}", style), (f"  effect {effect.state}", "dim"))
    text.append(f"  {effect.tries} tries" if effect.tries > 1 else "", "dim")
    text.append(f"  approved by {line(effect.approved_by)}" if effect.approved_by else "", "dim")
    again = "" if effect.state == "rejected" else "  rejected"
    text.append(f"{again} by {line(effect.rejected_by)}" if effect.rejected_by else "", "dim")
    said = effect.reason or (f"without a result: {effect.flaw}" if effect.flaw else "")
    return text.append(f"  {line(said)}" if said else "")


def _add_items(
    node: Tree,
    items: Sequence[StepStory],
    attempts: dict[str, list[Attempt]],
    effects: dict[str, list[EffectStory]],
    story: Story,
) -> None:
    """The items of a for_each; of many, those that need a look come first."""
    chosen = sorted(items, key=lambda item: item.state == "committed")[:ITEMS_SHOWN]
    width = max((len(item.id) for item in chosen), default=0)
    for item in chosen:
        mine = attempts.get(item.id, [])
        mark, style = MARKS[item.state]
        inner = node.add(
            Text.assemble((f"{mark} {item.id:<{width}}", style), "  ", (_outcome(item, mine), "dim"), _requested(mine))
        )
        _add_details(inner, mine, item.held)
        _add_effects(inner, effects.get(item.id, []))
        _add_runs(inner, item.id, story)
    if len(items) > len(chosen):
        node.add(Text(f"and {len(items) - len(chosen):,} more", "dim"))


# --- the context ---


def indented_json(value: Any, out: Console) -> Padding:
    """A value as JSON; on a terminal the middle of a long one is left out: results come last."""
    columns = min(out.width - 2 * INDENT, INLINE_COLUMNS_MAX)
    return Padding(_json_text(value, columns, cut=out.is_terminal), (0, 0, 0, INDENT), expand=False)


def _json_text(value: Any, columns: int, *, cut: bool) -> Text:
    lines = [plain(text) for text in json_lines(value, columns)]
    if cut:
        lines = [text if len(text) <= CONTEXT_COLUMNS_MAX else text[:CONTEXT_COLUMNS_MAX] + " ..." for text in lines]
    left_out = len(lines) - CONTEXT_LINES_MAX if cut else 0
    if left_out > 0:
        half = CONTEXT_LINES_MAX // 2
        lines = [*lines[:half], f"... {plural(left_out, 'more line')}: add --json for all of it", *lines[-half:]]
    text = Text("\n".join(lines))
    JSONHighlighter().highlight(text)
    return text


def json_lines(value: Any, columns: int, indent: int = 0, before: str = "", after: str = "") -> Iterator[str]:
    """A JSON value over several lines, where whatever fits into the columns stands on one."""
    pad, encoded = " " * indent, msgspec.json.encode(value).decode()
    if not isinstance(value, dict | list) or not value or len(pad + before + encoded + after) <= columns:
        inline = encoded if not isinstance(value, dict | list) else _inline(value)
        yield pad + before + inline + after
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield pad + before + opening
    members = list(value.items()) if isinstance(value, dict) else [(None, item) for item in value]
    for number, (key, inner) in enumerate(members, 1):
        name = "" if key is None else msgspec.json.encode(key).decode() + ": "
        yield from json_lines(inner, columns, indent + INDENT, name, "," if number < len(members) else "")
    yield pad + closing + after


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{msgspec.json.encode(key).decode()}: {_inline(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return msgspec.json.encode(value).decode()
