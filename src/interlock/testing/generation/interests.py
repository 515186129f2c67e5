"""What a team does with each field of its context: who decides by it, expands it, reads it, writes below it.

A made value must serve those who come after: where somebody writes `ticket.category`, what stands at `ticket` has to be
an object; where a `when` looks at a field, its condition should hold about every second time.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from interlock.core import paths
from interlock.core.proofs import deciding
from interlock.core.rules import Rules
from interlock.core.step import Condition, Step, wait_of


class Interest:
    """One place in the context.

    branch: somebody writes below it. listed: a for_each expands it. timed: a wait lasts until it. conditions: those
    that look at it. wanted: somebody decides by it, reads it or describes it. merged: it has a reducer.
    """

    __slots__ = ("branch", "children", "conditions", "listed", "merged", "timed", "wanted")

    def __init__(self) -> None:
        self.branch = self.listed = self.timed = self.wanted = self.merged = False
        self.conditions: list[Condition] = []
        self.children: dict[str, Interest] = {}

    def sought(self) -> Iterator[tuple[str, "Interest"]]:
        """The children in which, or in a part of which, somebody has an interest."""
        return ((name, child) for name, child in self.children.items() if child.wanted or any(child.sought()))

    @property
    def sometimes(self) -> bool:
        """Whether somebody asks if anything is there at all."""
        return any(condition.op in {"exists", "absent"} for condition in self.conditions)

    def below(self, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], "Interest"]]:
        """This place and all below it, each with the keys that lead there."""
        yield keys, self
        for name, child in self.children.items():
            yield from child.below((*keys, name))


class Interests:
    """The places of one team's context."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.root = Interest()
        for field in rules.sharing.reducers:
            node = self._written(field)
            node.merged = node.wanted = True
        for step in rules.plan.steps[1:]:
            self._add_step(step)

    def at(self, path: str) -> Interest | None:
        """What is known of a path; None for one that nobody has named."""
        found: Interest | None = self.root
        for key in paths.split(path) if path else ():
            if found is None:
                break
            found = found.children.get(key)
        return found

    def _add_step(self, step: Step) -> None:
        for pattern in self._rules.may_write(step):
            self._written(pattern)
        for schema in schemas_of(self._rules, step):
            for path in described(schema):
                self._written(path).wanted = True
        for path in deciding(step):
            self._place(path).wanted = True
        for path in reads_of(self._rules, step):
            self._place(path).wanted = True
        if step.for_each is not None:
            self._place(step.for_each).listed = True
        if step.waits and (until := wait_of(step).path):
            self._place(until).timed = True
        if step.when is not None and step.when not in self._place(step.when.path).conditions:
            self._place(step.when.path).conditions.append(step.when)

    def _written(self, pattern: str) -> Interest:
        node = self._place(paths.base(pattern), branch=True)
        node.branch = node.branch or paths.is_open(pattern)
        return node

    def _place(self, path: str, *, branch: bool = False) -> Interest:
        """The node of a path; of a path inside a field with a reducer, which is one value, a node of no consequence."""
        node = self.root
        for key in paths.split(path) if path else ():
            if node.merged:
                return Interest()
            node.branch = node.branch or branch
            node = node.children.setdefault(key, Interest())
        return node


@lru_cache(8)
def interests_of(rules: Rules) -> Interests:
    """The interests of a team, gathered once for all that is made for it."""
    return Interests(rules)


def schemas_of(rules: Rules, step: Step, agents: Iterable[str] = ()) -> list[Mapping[str, Any]]:
    """The schemas that the replies of these agents in a step must fit; by default of all who may do it."""
    declared = [rules.roles[agent].schema for agent in agents or rules.chain(step.agent)]
    return [schema for schema in (*declared, step.schema) if schema is not None]


def described(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The paths that a schema of a reply speaks of, each with the schema of the value there."""
    required: dict[str, Mapping[str, Any]] = {paths.canonical(path): {} for path in schema.get("required", [])}
    return required | {paths.canonical(path): inner for path, inner in schema.get("properties", {}).items()}


def reads_of(rules: Rules, step: Step) -> list[str]:
    """The paths that a step reads: as it declares, or else what the scopes of its agents name."""
    patterns = step.reads
    if patterns is None:
        patterns = tuple(p for agent in rules.chain(step.agent) for p in rules.roles[agent].scope.context_access)
    return [path for path in map(paths.base, dict.fromkeys(patterns)) if path]
