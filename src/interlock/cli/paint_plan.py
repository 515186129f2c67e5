"""A plan, drawn: its steps by level, what each hangs on, and what the whole takes."""

from collections.abc import Callable, Iterable, Iterator

from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from interlock.core.supervision import SupervisorPolicy
from interlock.errors import cut_short
from interlock.team.estimates import Cap
from interlock.team.outline import Outline, StepOutline
from interlock.team.prospect import Prospect

from .paint import console
from .picturing import Picture
from .text import count, duration, line, money, plural, shown_team

STEPS_SHOWN_MAX = 200
LISTED_MAX = 6
CHARS_MAX = 300
INDENT = 2
_STYLES = {"yes": "", "maybe": "yellow", "no": "dim"}


def show_plan(picture: Picture) -> None:
    """The plan as a tree, and its estimates."""
    out, prospect = console(), picture.prospect
    steps = prospect.outline.steps
    agents = {agent for step in steps for agent in step.agents}
    facts = [plural(len(steps), "step"), plural(len(prospect.outline.levels), "level"), plural(len(agents), "agent")]
    policy = prospect.team.rules.supervisor
    if policy is not None and not steps:
        facts = [f"{_shown(policy.agent)} decides which steps there are"]
    head = Text.assemble(("plan of ", "dim"), (shown_team(str(prospect.team.path or "")), "bold"))
    out.print(Text.assemble(head, ("  " + " · ".join(facts), "dim")))
    if picture.origin:
        out.print(Text(f"for the request of {line(picture.origin)}", "dim"))
    if picture.chosen:
        out.print(Text.assemble(("chosen: ", "dim"), (picture.chosen, "bold"), (f" ({line(picture.why)})", "dim")))
    if steps:
        out.print(_tree(prospect))
        out.print(Text("\nat most", "bold"))
        out.print(Padding(_estimates(prospect), (0, 0, 0, INDENT), expand=False))
    out.print(Text("\n" + " ".join(_uncounted(prospect.outline, policy)), "dim"))


def _tree(prospect: Prospect) -> Tree:
    """Steps that can't be in each other's way stand under one branch; the plan of a nested team under its step."""
    tree = Tree(Text("steps", "bold"), guide_style="dim", highlight=False)
    hidden = -_grow(tree, prospect, STEPS_SHOWN_MAX)
    if hidden > 0:
        tree.add(Text(f"and {plural(hidden, 'more step')}: --json shows all", "dim"))
    return tree


def _grow(tree: Tree, prospect: Prospect, left: int) -> int:
    """Add the steps of a plan, as far as there is room left; how much is then, below 0 where there was too little."""
    before = set[str]()
    for members in prospect.outline.levels:
        shown = members[: max(0, left)]
        left -= len(members)
        branch = tree.add(Text(f"{len(members):,} side by side", "dim")) if len(members) > 1 and shown else tree
        for step in shown:
            node = branch.add(_head(step))
            for detail in _details(step, before, prospect):
                node.add(Text(detail, "dim"))
            for agent in step.nested:
                inner = prospect.nested[agent]
                name = f" {_shown(inner.team.name)}" if inner.team.name else ""
                size = plural(len(inner.outline.steps), "step")
                left = _grow(node.add(Text.assemble((f"team{name}", "bold"), (f"  {size}", "dim"))), inner, left)
        before = {step.id for step in members}
    return left


def _head(step: StepOutline) -> Text:
    style = f"bold {_STYLES[step.runs]}".strip()
    text = Text.assemble((step.id, style), "  ", _shown(_does(step)))
    if step.samples:
        text.append(f"  {step.samples} samples", "cyan")
    if step.for_each is not None:
        text.append(f"  for each {_each(step)}", "cyan")
    if step.runs == "no":
        text.append(f"  is skipped: {_shown(step.why)}", "yellow")
    return text


def _does(step: StepOutline) -> str:
    return f"{step.agents[0]}.{step.action}" if step.agents else step.waits or step.reconciles


def _each(step: StepOutline) -> str:
    """What a copy is made for, how many there are, and how many run at a time."""
    of = f"{plural(step.batch, 'item')} of" if step.batch else "of"
    known = (
        ""
        if step.copies is None or step.runs == "no"
        else f" ({plural(step.copies, 'batch' if step.batch else 'item')})"
    )
    width = f", {step.width:,} at a time" if step.width else ""
    return f"{of} {_shown(step.for_each or '')}{known}{width}"


def _details(step: StepOutline, before: set[str], prospect: Prospect) -> Iterator[str]:
    if step.runs == "maybe":
        yield f"only if {_shown(step.why)}"
    if step.needs and set(step.needs) != before:
        yield f"after {_listed(step.needs)}"
    others = [*step.agents[1:], *(["a person"] if step.asks and not step.reconciles else [])]
    if others:
        yield f"else by {_listed(others)}"
    if step.agents and step.reconciles:
        yield step.reconciles
    if step.writes:
        yield f"writes {_listed(step.writes)}"
    if step.join != "all":
        yield "runs although one that it needs has died"
    if step.on_dead != "fail_run":
        yield {"skip": "given up, it counts as skipped", "continue": "given up, it counts as done"}[step.on_dead]
    calls, most_ms, is_open = prospect.calls_of(step), prospect.most_ms_of(step), prospect.is_open(step)
    if step.waits:
        yield "nobody knows how long" if is_open else f"at most {duration(most_ms / 1_000)}"
        return
    if not step.agents:
        return
    each = " each" if step.samples or step.for_each is not None else ""
    time = "nobody knows how long" if is_open else f"{duration(most_ms / 1_000)}{each}"
    yield (
        f"at most {plural(calls, 'call')}{each}, {time}"
        if calls is not None
        else f"nobody knows how many calls, {time}"
    )


def _estimates(prospect: Prospect) -> Table:
    found = prospect.estimates
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    table.add_row("calls", _calls(prospect))
    way = " > ".join(found.way.steps[:LISTED_MAX]) + (" > ..." if len(found.way.steps) > LISTED_MAX else "")
    grows = f"; longer with more items than the width of {_listed(found.way.grows)}" if found.way.grows else ""
    waits = f"; nobody knows how long {_listed(found.way.open)} waits" if found.way.open else ""
    table.add_row("time", Text(f"{duration(found.way.most_ms / 1_000)}{': ' if way else ''}{way}{grows}{waits}"))
    cost, tokens = _cap(found.usd, money), _cap(found.tokens, lambda most: count(int(most or 0)))
    if cost == tokens:
        table.add_row("cost, tokens", Text(cost))
    else:
        table.add_row("cost", Text(cost))
        table.add_row("tokens", Text(tokens))
    return table


def _calls(prospect: Prospect) -> Text:
    found = prospect.estimates
    text = Text(f"{count(int(found.calls.most))}" if found.calls.most is not None else "unknown")
    if found.calls.most is not None and found.calls.by:
        text.append(f", {found.calls.by}")
    more = [*_per_copy(prospect), *(f"what {name} takes" for name in _unknown(prospect))]
    if more:
        text.append(f": {found.calls_besides:,}, and {_listed(more)}")
    text.append(f" (at least {found.calls_least:,})", "dim")
    return text


def _unknown(prospect: Prospect) -> Iterator[str]:
    """The steps of nested teams of which nobody knows how many calls they take."""
    return (step.id for step in prospect.outline.steps if step.nested and prospect.calls_of(step) is None)


def _per_copy(prospect: Prospect) -> Iterator[str]:
    found = prospect.estimates.calls_per_copy
    for step in prospect.outline.steps:
        if step.id in found and prospect.calls_of(step) is not None:
            yield f"{found[step.id]:,} for each {'batch' if step.batch else 'item'} in {step.id}"


def _cap(cap: Cap, shown: Callable[[float | None], str]) -> str:
    if cap.most is None:
        return f"unknown: no budget bounds {_listed(cap.unbounded)}"
    by = f", {cap.by}" if cap.by else ""
    return f"{shown(cap.most)}{by}" + ("" if cap.exact else ", and what the calls made last exceed it by")


def _uncounted(outline: Outline, supervisor: SupervisorPolicy | None) -> Iterator[str]:
    if supervisor is not None:
        asked, added = supervisor.asked_at_most, supervisor.steps_max
        yield f"Not counted: {_shown(supervisor.agent)} decides up to {asked:,} times, and adds up to {added:,} steps."
    yield "Not counted: calls that a crash makes necessary again, and waiting for room and at gates."
    if _asks(outline):
        yield "A person may take any time."


def _asks(outline: Outline) -> bool:
    return any(step.asks or any(map(_asks, step.nested.values())) for step in outline.steps)


def _listed(texts: Iterable[str]) -> str:
    listed = [*texts]
    more = f" and {len(listed) - LISTED_MAX:,} more" if len(listed) > LISTED_MAX else ""
    return ", ".join(map(_shown, listed[:LISTED_MAX])) + more


def _shown(text: str) -> str:
    return cut_short(line(text), CHARS_MAX)
