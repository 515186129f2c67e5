"""Who owns which field in the team file: what becomes of a key that several write."""

from collections import Counter
from itertools import pairwise

import msgspec

from interlock.core import paths
from interlock.core.reducers import REDUCERS

from .flow import Flow
from .system import Key, System


class Ownership(msgspec.Struct):
    """reducers, succession: as a team file has them. split: the keys of which each step that writes has a part.

    spread: by step, the list whose items it runs for. All that such a step writes is appended: its items run at once.
    """

    reducers: dict[str, str] = {}
    succession: dict[str, list[str]] = {}
    split: set[str] = set()
    spread: dict[str, str] = {}
    written: dict[str, dict[str, str]] = {}

    @classmethod
    def of(cls, system: System, flow: Flow) -> "Ownership":
        """How the writers of each key get along, so that the proofs of a team file hold."""
        found = cls(written=writers(system))
        busy = Counter(step.worker for step in system.steps)
        for path, steps in found.written.items():
            key = system.keys.get(path, Key(path))
            workers = list(dict.fromkeys(steps.values()))
            if key.merging in REDUCERS:
                found.reducers[path] = key.merging
            elif not in_order(flow, [*steps]) or (len(workers) > 1 and any(busy[worker] > 1 for worker in workers)):
                found.split.add(path)
            elif len(workers) > 1:
                rank = {name: at for at, name in enumerate(flow.order)}
                found.succession[path] = [steps[step] for step in sorted(steps, key=rank.__getitem__)]
        found._spread(flow)
        return found

    def _spread(self, flow: Flow) -> None:
        for name in flow.order:
            route = flow.route_to(name)
            if route is not None and route.spread and self.is_settled(flow, route.spread, name):
                self.spread[name] = route.spread
        for path, steps in self.written.items():
            if path not in self.reducers and not self.spread.keys().isdisjoint(steps):
                self.reducers[path] = "append"
                self.split.discard(path)
                self.succession.pop(path, None)

    def is_settled(self, flow: Flow, path: str, step: str) -> bool:
        """Whether a step can look at a key: there is one of it, and all that write it are over by then."""
        return path not in self.split and all(flow.comes_before(one, step) for one in self.written.get(path, ()))

    def field(self, path: str, step: str) -> str:
        """Where a step writes what goes to this key."""
        return paths.join((*paths.split(path), step)) if path in self.split else path


def writers(system: System) -> dict[str, dict[str, str]]:
    """By path, the steps that write it, and the worker of each."""
    found: dict[str, dict[str, str]] = {}
    for step in system.steps:
        for path in step.writes:
            found.setdefault(path, {})[step.id] = step.worker
    return found


def in_order(flow: Flow, steps: list[str]) -> bool:
    """Whether of any two of these steps one is over before the other begins; true of a single one."""
    if len(steps) == 1:
        return True
    rank = {name: at for at, name in enumerate(flow.order)}
    if not all(step in rank for step in steps):
        return False
    ordered = sorted(steps, key=rank.__getitem__)
    return all(flow.comes_before(one, other) for one, other in pairwise(ordered))
