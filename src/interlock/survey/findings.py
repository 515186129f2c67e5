"""What is wrong with a system, by its steps, keys and edges alone: each check yields findings about one question."""

from collections.abc import Callable, Iterator
from itertools import combinations, islice

from interlock.team.findings import Severity

from .flow import Flow
from .ownership import in_order, writers
from .source import acts
from .system import Finding, Key, Step, System, listed

PAIRS_MAX = 20_000


def overwritten(system: System, flow: Flow) -> Iterator[Finding]:
    """Which keys have several writers, and what becomes of the values of all but one?"""
    by_id = {step.id: step for step in system.steps}
    for path, steps in writers(system).items():
        key = system.keys.get(path, Key(path))
        several = [*steps]
        where = listed((by_id[name].where for name in several), 3)
        agents = tuple(dict.fromkeys(steps.values()))
        if key.merging == "none" and (spread := [name for name in several if _is_spread(flow, name)]):
            message = (
                f"{listed(spread)} writes {path} for each item in one round, and it has no reducer: that ends the run"
            )
            fix = "give it a reducer; the team file has append"
            yield Finding("parallel_writers", "error", where, agents, (path,), message, fix)
            continue
        if len(several) < 2 or key.merging != "none":  # noqa: PLR2004 - a second one takes the place of the first
            continue
        together = _together(flow, several)
        if together:
            message = f"{listed(together)} write {path} in the same round, and it has no reducer: that ends the run"
            fix = f"give each a field of its own, as in the team file: {path}.{together[0]}, ..."
            yield Finding("parallel_writers", "error", where, agents, (path,), message, fix)
            continue
        fix = f"give each a field of its own, as in the team file: {path}.{several[0]}, ..."
        severity: Severity = "warning"
        if in_order(flow, several):
            how = "each over what was there: nothing says whose it is"
            fix = "give each a field of its own, or name them as its owners in succession, as in the team file"
        elif _takes_turns(flow, several):
            severity, how = "info", "whichever is chosen: nothing says whose it is"
        else:
            how = "in no certain order: the last one wins, silently"
        yield Finding(
            "several_writers", severity, where, agents, (path,), f"{listed(several)} write {path}, {how}", fix
        )


def _takes_turns(flow: Flow, steps: list[str]) -> bool:
    """Whether only one of these steps can run, once."""
    looped = {name for loop in flow.loops for name in loop.steps}
    pairs = combinations(steps, 2)
    return looped.isdisjoint(steps) and all(flow.are_exclusive(*pair) for pair in islice(pairs, PAIRS_MAX))


def _is_spread(flow: Flow, name: str) -> bool:
    """Whether a step runs for each item of a list, all in one round."""
    route = flow.route_to(name)
    return route is not None and bool(route.spread)


def _together(flow: Flow, steps: list[str]) -> list[str]:
    """Two of these steps that surely run in one round."""
    for one, other in islice(combinations(steps, 2), PAIRS_MAX):
        if set(flow.rounds.get(one, ())) & set(flow.rounds.get(other, ())):
            return [one, other]
    return []


def reducers(system: System, _flow: Flow) -> Iterator[Finding]:
    """Which reducers lose values, or can't be told?"""
    wrote = writers(system)
    for path, key in system.keys.items():
        agents = tuple(dict.fromkeys(wrote.get(path, {}).values()))
        if key.merging in ("last", "first"):
            message = f"of several values for {path}, {key.told} keeps the {key.merging} alone, and says nothing"
            fix = "give each writer a field of its own, and let one agent choose"
            yield Finding("silent_merge", "warning", path, agents, (path,), message, fix)
        elif key.merging == "merge":
            message = f"where two values for {path} have the same key, {key.told} keeps the later one, silently"
            fix = "in a team file, reducer merge refuses the second; let each writer have keys of its own"
            yield Finding("silent_merge", "warning", path, agents, (path,), message, fix)
        elif key.merging == "unknown":
            message = f"how {path} is merged is not known: {key.told}"
            fix = "a team file has append, add and merge; else give each writer a field of its own"
            yield Finding("unknown_reducer", "info", path, agents, (path,), message, fix)


def loops(system: System, flow: Flow) -> Iterator[Finding]:
    """What goes round, and does anything end it?"""
    for loop in flow.loops:
        told = f"{' -> '.join(loop.steps[:8])}{' -> ...' if len(loop.steps) > 8 else ''} -> {loop.steps[0]}"  # noqa: PLR2004
        fix = "a plan has no loops: give a phase its rounds, or have a supervisor decide what comes next"
        where = next(step.where for step in system.steps if step.id == loop.steps[0])
        if not loop.ends:
            message = f"{told} goes round for ever: nothing leads out of it but {system.bound}"
            yield Finding("endless_loop", "error", where, loop.steps, (), message, fix)
        else:
            message = f"{told} goes round as long as its steps choose to; what bounds it is {system.bound}"
            yield Finding("loop", "warning", where, loop.steps, (), message, fix)


def again(system: System, flow: Flow) -> Iterator[Finding]:
    """Which steps run more than once, because what leads to them ends in different rounds?"""
    for step in system.steps:
        rounds = flow.rounds.get(step.id, ())
        if len(rounds) > 1:
            sources = listed(edge.source for edge in flow.entries[step.id])
            message = f"{step.id} runs again each time that one of {sources} ends: in rounds {listed(map(str, rounds))}"
            fix = "add one edge from a list of them, which waits for all; a step of a plan always does"
            yield Finding("runs_again", "warning", step.where, (step.worker,), (), message, fix)


def unreached(system: System, flow: Flow) -> Iterator[Finding]:
    """Which steps does nothing lead to?"""
    lost = [step for step in system.steps if step.id not in flow.entries]
    if lost:
        message = f"nothing that is known leads to {listed(step.id for step in lost)}"
        agents = tuple(step.worker for step in lost)
        where = listed((step.where for step in lost), 3)
        yield Finding("unreached", "warning", where, agents, (), message, "add an edge, or remove it")


def people(system: System, flow: Flow) -> Iterator[Finding]:
    """Does anything happen out there before a person was asked, and is one ever asked?"""
    by_id = {step.id: step for step in system.steps}
    asking = {step.id for step in system.steps if step.asks}
    alone = [s for s in system.steps if s.effects and not s.asks and asking.isdisjoint(flow.before(s.id))]
    for step in alone:
        signs = listed((f"{sign.what} ({sign.where})" for sign in by_id[step.id].effects), 3)
        message = f"{step.id} seems to change something out there, and nobody is asked before: {signs}"
        fix = "let it return the effect, and declare that with approve: true: it is then performed once, after a yes"
        yield Finding("unasked_effect", "warning", step.where, (step.worker,), (), message, fix)
    if not asking and not alone:
        message = "no person is asked anywhere, whatever goes wrong"
        fix = "an agent can ask with Reply(ask=Question(...)); escalate: true asks before a step is given up"
        yield Finding("no_person", "info", system.reference, (), (), message, fix)


def tools(system: System, _flow: Flow) -> Iterator[Finding]:
    """Which tools are in several hands?"""
    holders: dict[str, list[str]] = {}
    for worker in system.workers:
        for tool in worker.tools:
            holders.setdefault(tool, []).append(worker.id)
    for tool, workers in holders.items():
        if len(workers) > 1:
            message = f"{listed(workers)} have the tool {tool}: what one has done, another does again"
            fix = "let one agent have it, among its allowed_actions, and the others request it with on_request"
            severity: Severity = "warning" if acts(tool) else "info"
            yield Finding("shared_tool", severity, tool, tuple(workers), (), message, fix)


def conditions(system: System, flow: Flow) -> Iterator[Finding]:
    """Which steps have more than one condition, where a step of a plan has one?"""
    by_id: dict[str, Step] = {step.id: step for step in system.steps}
    for name in flow.order:
        if flow.is_undecided(name):
            sources = listed(dict.fromkeys(edge.source for edge in flow.entries[name]))
            message = (
                f"{name} runs when any of {sources} leads to it; a step of a plan has one condition, so none is written"
            )
            fix = "have them write the same field, in succession, and let when look at that"
            yield Finding("several_conditions", "info", by_id[name].where, (by_id[name].worker,), (), message, fix)


CHECKS: tuple[Callable[[System, Flow], Iterator[Finding]], ...] = (
    overwritten,
    reducers,
    loops,
    again,
    unreached,
    people,
    tools,
    conditions,
)
