"""A team as an agent of another: what goes into its run, and what comes out.

The nested team's run has a context of its own. Only what is mapped crosses the border, both ways, so that neither team
can see or write what the other didn't mean it to.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from interlock.errors import InputError, PathError, PlanError, TeamError, ValueRefused

from . import paths
from .budget import BudgetPolicy
from .scope import Scope
from .step import INDEX, Step
from .values import ABSENT, DEFAULT_LIMITS, Limits, at, encode, encode_canonical

DEPTH_MAX = 8
MAPPINGS_MAX = 1_000
# In the place of a parent's path: the item of the list that a for_each is at.
ITEM = "{item}"
STEP = "{step}"


class Nested(msgspec.Struct, frozen=True, omit_defaults=True):
    """The team behind an agent, and what crosses the border. Both mappings read `target: source`.

    inputs: path in the nested team's request -> path in the parent's view, or `{item}`; None: all that the view shows,
    where it stands. outputs: path that the parent's step writes, where `{step}` and `{index}` stand for what they do in
    its writes -> path in the nested team's final context; None: each field that the step may write and the nested team
    has changed, where it stands. What it has only deleted stays in the parent.

    Raises PathError for a malformed path, TeamError for a target inside another.
    """

    team: str
    hash: str
    inputs: Mapping[str, str] | None = None
    outputs: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs"):
            declared = getattr(self, name)
            if declared is not None:
                msgspec.structs.force_setattr(self, name, _mapping(declared, name))

    @property
    def takes_items(self) -> bool:
        """Whether the item of a for_each goes in."""
        return ITEM in (self.inputs or {}).values()

    def request_of(self, view: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS, item: Any = ABSENT) -> bytes:
        """The request of the nested team's run, as JSON; what the view doesn't show is left out.

        view: dotted paths to values. limits: those of the nested team. Raises InputError for what is larger or deeper.
        """
        tree: dict[str, Any] = {}
        if self.inputs is None:
            tree = view.to_dict() if hasattr(view, "to_dict") else dict(view)
        else:
            # Several targets may have one source, which is large: it is read once.
            found = {source: item if source == ITEM else view.get(source, ABSENT) for source in self.inputs.values()}
            for target, source in self.inputs.items():
                if found[source] is not ABSENT:
                    _put(tree, target, found[source])
        try:
            return encode(tree, limits, limits.context_bytes_max)
        except ValueRefused as error:
            raise InputError(f"the request of the nested team {self.team} can't be used: {error.message}") from error

    def writes_of(
        self,
        context: Mapping[str, Any],
        request: Mapping[str, Any],
        writable: paths.Patterns,
        step: str,
        index: int,
    ) -> dict[str, Any]:
        """What the parent's step writes, by path, before it is assessed as any reply; what isn't there is left out.

        context: dotted paths to what the nested team's run has come to. request: what that run was given, as a tree.
        writable: what the step may write. step, index: its own, or those of one of its copies.
        """
        if self.outputs is None:
            granted = ((path, context[path]) for path in context if writable.cover(path))
            return {path: value for path, value in granted if not _same(value, at(request, paths.split(path)))}
        found = {_filled(target, step, index): context.get(source, ABSENT) for target, source in self.outputs.items()}
        return {target: value for target, value in found.items() if value is not ABSENT}


def nested_problems(name: str, nested: Nested, scope: Scope) -> Iterator[TeamError]:
    """What an agent's nested team would be given that the agent may not see, or would write that it may not."""
    can_read, can_write = paths.Patterns(scope.readable), paths.Patterns(tuple(scope.write_permissions))
    for target, source in (nested.inputs or {}).items():
        if source != ITEM and not can_read.reach(source):
            message = f"the input {target} of the team nested in {name} is {source}, which {name} may not read"
            fix = f"context_access of {name}: {', '.join(scope.context_access) or 'nothing'}"
            yield TeamError(message, fix=fix, place=("agents", name, "inputs", target), agents=(name,), paths=(source,))
    for target in nested.outputs or ():
        if not can_write.cover(target):
            message = f"the team nested in {name} has the output {target}, which {name} may not write"
            fix = f"write_permissions of {name}: {', '.join(scope.write_permissions) or 'nothing'}"
            place = ("agents", name, "outputs", target)
            yield TeamError(message, fix=fix, place=place, agents=(name,), paths=(target,))


def nested_step_problems(step: Step, name: str, nested: Nested) -> Iterator[TeamError]:
    """Why nothing that the nested team of an agent does could be committed in a step, or all copies would be alike."""
    place = ("plan", step.id)
    has_copies = step.samples > 0 or step.for_each is not None
    can_write = None if step.writes is None else paths.Patterns(tuple(step.writes))
    for target in nested.outputs or ():
        written = target if has_copies else target.replace(STEP, step.id)
        if INDEX in target and not has_copies:
            message = f"step {step.id}: the output {target} of the team nested in {name} has an {INDEX}"
            fix = f"write {STEP} in its place, or declare another agent for this step, which has no copies"
            yield PlanError(message, fix=fix, place=(*place, "agent"), agents=(name,))
        elif can_write is not None and not (can_write.cover(target) or can_write.cover(written)):
            message = f"step {step.id} does not write {target}, which the team nested in {name} has as an output"
            yield PlanError(message, fix=f"add {target} to its writes", place=(*place, "writes"), agents=(name,))
    for source in dict.fromkeys((nested.inputs or {}).values()) if step.reads is not None else ():
        if source != ITEM and not paths.Patterns(tuple(step.reads or ())).reach(source):
            message = f"step {step.id} does not read {source}, which is an input of the team nested in {name}"
            yield PlanError(message, fix=f"add {source} to its reads", place=(*place, "reads"), agents=(name,))
    if step.reconcile is not None:
        message = f"step {step.id} has {name} as its judge, which is a team, and does not say which candidate is right"
        yield PlanError(message, fix="name another agent", place=(*place, "agent"), agents=(name,))
    if step.on_request and name == step.agent:
        message = f"step {step.id} has branches that are requested, and {name} is a team, which requests nothing"
        yield PlanError(message, fix="give the other steps a when", place=(*place, "on_request"), agents=(name,))
    if has_copies and nested.outputs is None:
        message = f"step {step.id} has copies, and the team nested in {name} has no outputs that tell them apart"
        fix = f'give {name} outputs such as "results.{INDEX}": answer'
        yield PlanError(message, fix=fix, place=(*place, "agent"), agents=(name,))
    if nested.takes_items and step.for_each is None:
        message = f"step {step.id} is no for_each, and an input of the team nested in {name} is its {ITEM}"
        yield PlanError(message, fix="name a path in the inputs", place=(*place, "agent"), agents=(name,))
    if step.for_each is not None and not nested.takes_items:
        message = f"step {step.id} runs the team nested in {name} for each item, and none of its inputs is the item"
        fix = f'give {name} an input such as item: "{ITEM}"'
        yield PlanError(message, fix=fix, place=(*place, "for_each"), agents=(name,))


def unbounded_problems(nested: Mapping[str, BudgetPolicy | None], budget: BudgetPolicy | None) -> Iterator[TeamError]:
    """Nested teams that could spend more than a run of the whole may, because nothing is set aside for their runs.

    nested: the budget of each agent that is a team. budget: that of the run; on one of a day each of their calls draws.
    """
    for amount, _, _ in () if budget is None else budget.bounds:
        for name, own in nested.items():
            if own is None or getattr(own, amount) is None:
                lacks = f"and no budget says how much of that the team {name} may have"
                message = f"the budget of the run bounds {amount}, {lacks}"
                fix = f"give {name} a budget with {amount}: it is set aside when the team's run begins"
                yield TeamError(message, fix=fix, place=("agents", name), agents=(name,))


def unheard_problems(
    nested: Collection[str], asked: Iterable[tuple[tuple[str, ...], str, Sequence[str]]]
) -> Iterator[TeamError]:
    """Nested teams that are to give an answer of a kind that no team gives.

    asked: where that is declared, what for, and who is asked, with those that stand in.
    """
    for place, what, agents in asked:
        for name in agents:
            if name in nested:
                message = f"{what} is {name}, and a team can't be asked: it has a run"
                yield TeamError(message, fix="name an agent that is no team", place=place, agents=(name,))


def _mapping(declared: Any, name: str) -> dict[str, str]:
    """Targets and their sources, each path in its one spelling."""
    if not isinstance(declared, Mapping) or len(declared) > MAPPINGS_MAX:
        message = f"the {name} of a nested team are not a mapping of up to {MAPPINGS_MAX:,} paths"
        raise TeamError(message, fix="write target: source", place=(name,))
    found: dict[str, str] = {}
    for target, source in declared.items():
        try:
            found[paths.canonical(target)] = paths.canonical(source)
        except (PathError, TypeError) as error:
            raise TeamError(f"the {name} of a nested team: {error}", place=(name, str(target))) from error
    inner = next((path for path in found if any(prefix in found for prefix in paths.prefixes(path))), None)
    if inner is not None or len(found) < len(declared):
        said = "one path twice" if inner is None else f"{inner}, which is inside another of their paths"
        message = f"the {name} of a nested team fill {said}"
        raise TeamError(message, fix="keep one of the two", place=(name, inner) if inner else (name,))
    return found


def _put(tree: dict[str, Any], target: str, value: Any) -> None:
    *above, last = paths.split(target)
    for key in above:
        tree = tree.setdefault(key, {})
    tree[last] = value


def _filled(target: str, step: str, index: int) -> str:
    return target.replace(STEP, step).replace(INDEX, str(index))


def _same(one: Any, other: Any) -> bool:
    return other is not ABSENT and bool(encode_canonical(one) == encode_canonical(other))
