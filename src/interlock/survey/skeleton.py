"""The team file that a system comes to: scopes and a plan as far as they are known, and what is left to do."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import yaml

from interlock.core.policy import RETRIES_MAX, TIMEOUT_MS_MAX

from .flow import Flow
from .ownership import Ownership
from .system import START, Finding, Step, System, Worker, listed

WIDTH = 120
FINDINGS_MAX = 100
# A scope of more fields is no scope; the audit says so of `*`.
READS_MAX = 200
COMMENT_CHARS_MAX = 2_000
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_FIRST = "# to do: "
_CODE = "use: module:function, which takes a job and returns what it writes"


class Skeleton:
    """Writes the team file of a system."""

    def __init__(self, system: System, flow: Flow, findings: Sequence[Finding]) -> None:
        self._system, self._flow, self._findings = system, flow, findings
        self._ownership = Ownership.of(system, flow)
        self._by_id = {step.id: step for step in system.steps}
        self._rank = {name: at for at, name in enumerate(flow.order)}
        self._steps: dict[str, list[Step]] = {worker.id: [] for worker in system.workers}
        for step in system.steps:
            self._steps[step.worker].append(step)
        taken = {path.partition(".")[0] for path in system.keys}
        self._routes = "route"
        while self._routes in taken:
            self._routes += "_"

    def text(self) -> str:
        """The whole file."""
        parts = [self._head(), self._agents(), self._shared(), self._plan()]
        return "\n".join(line for part in parts for line in part) + "\n"

    # - what is known of it -

    def _when(self, name: str) -> dict[str, Any] | None:
        """The condition of a step: on the key that its route looks at, or on a field where its source says where to."""
        route, ownership = self._flow.route_to(name), self._ownership
        if route is None or name in ownership.spread:
            return None
        if route.path and route.path not in ownership.reducers and ownership.is_settled(self._flow, route.path, name):
            return {"path": route.path} | _compared(route.values)
        [source] = (edge.source for edge in self._flow.entries[name])
        many = route.many or source in ownership.spread
        return {"path": self._decision(source), "op": "contains" if many else "==", "value": name}

    def _decision(self, source: str) -> str:
        """The field where a step says where it leads to."""
        return f"{self._routes}.{'start' if source == START else source}"

    def _decisions(self, steps: Iterable[Step]) -> list[str]:
        """The decisions that these steps have to write."""
        looked_at = {condition["path"] for name in self._flow.order if (condition := self._when(name))}
        return [path for step in steps if (path := self._decision(step.id)) in looked_at]

    # - the parts -

    def _head(self) -> Iterator[str]:
        system = self._system
        yield from _comment(f"A scope skeleton of {system.kind}:{system.reference}, written by interlock audit --from.")
        yield from _comment("It can be audited as it stands, and not run: see each 'to do'.")
        if system.whole:
            yield from _comment(
                f"Until that is done, all of it can work as one agent: {system.kind}: {system.reference}"
            )
        yield "#"
        yield from _comment("What was found in it:")
        if not self._findings:
            yield "#   none"
        for finding in self._findings[:FINDINGS_MAX]:
            yield "#"
            yield from _comment(f"{finding.severity} {finding.code}, {finding.where}: {finding.message}", "  ")
            if finding.fix:
                yield from _comment(f"fix: {finding.fix}", "    ")
        if len(self._findings) > FINDINGS_MAX:
            yield from _comment(f"and {len(self._findings) - FINDINGS_MAX:,} more; --json has all of them", "  ")
        yield ""

    def _agents(self) -> Iterator[str]:
        yield "agents:"
        for worker in self._system.workers:
            yield f"  {_text(worker.id)}:"
            yield from _indented(4, self._agent(worker, self._steps[worker.id]))

    def _agent(self, worker: Worker, steps: list[Step]) -> Iterator[str]:
        at = f", {worker.where}" if worker.where and worker.where not in worker.told else ""
        yield from _comment(f"{worker.told}{at}")
        kind, target = worker.target
        yield f"{kind}: {_text(target)}" if kind else f"{_FIRST}{_CODE}"
        for sentence in dict.fromkeys(sentence for step in steps for sentence in step.open):
            yield from _comment(f"to do, not known: {sentence}")
        actions = list(dict.fromkeys((*(step.id for step in steps), *worker.tools))) or [worker.id]
        yield f"allowed_actions: {_flow_of(actions)}"
        reads = list(dict.fromkeys(path for step in steps for path in self._reads(step)))
        yield f"context_access: {_flow_of(reads if len(reads) <= READS_MAX else ['*'])}"
        yield f"write_permissions: {_flow_of([*self._writes(steps), *self._decisions(steps)])}"
        if worker.timeout_ms:
            yield f"timeout: {_duration(worker.timeout_ms)}"
        else:
            yield "effort: complex  # 30 s for an attempt; it had no timeout of its own"
        if worker.retries is not None:
            yield f"retries: {max(0, min(worker.retries, RETRIES_MAX))}"
        yield from self._remarks(steps)

    def _reads(self, step: Step) -> list[str]:
        """What a step reads of the context, and not of its item."""
        return [path for path in step.reads if path not in self._brought(step.id)]

    def _brought(self, name: str) -> tuple[str, ...]:
        route = self._flow.route_to(name)
        return route.brings if route and name in self._ownership.spread else ()

    def _writes(self, steps: list[Step]) -> list[str]:
        return list(dict.fromkeys(self._ownership.field(path, step.id) for step in steps for path in step.writes))

    def _remarks(self, steps: list[Step]) -> Iterator[str]:
        asking = [step.id for step in steps if step.asks]
        if asking:
            yield from _comment(f"to do: {listed(asking)} asks a person: return Reply(ask=Question(...))")
        signs = dict.fromkeys(sign.what for step in steps for sign in step.effects)
        if signs:
            yield from _comment(f"to do: declare what it does out there under effects: {listed(signs)}")

    def _shared(self) -> Iterator[str]:
        ownership = self._ownership
        looked_at = self._decisions(self._by_id[name] for name in self._flow.order if name in ownership.spread)
        reducers = ownership.reducers | dict.fromkeys(looked_at, "append")
        if reducers:
            yield "reducers:"
            for path, name in reducers.items():
                each = "  # each write adds one element" if name == "append" else ""
                yield f"  {_text(path)}: {name}{each}"
        if ownership.succession:
            yield "succession:"
            for path, owners in ownership.succession.items():
                yield f"  {_text(path)}: {_flow_of(owners)}"

    def _plan(self) -> Iterator[str]:
        if not self._flow.order:
            return
        yield "plan:"
        back: dict[str, list[str]] = {}
        for edge in self._flow.backward:
            back.setdefault(edge.source, []).append("the start" if edge.target == START else edge.target)
        for name in self._flow.order:
            step = self._by_id[name]
            yield from _indented(2, self._conditions(name))
            if name in back:
                yield from _indented(2, _comment(f"to do: {name} led back to {listed(dict.fromkeys(back[name]))}"))
            yield from _indented(2, _item(self._step(step)))

    def _conditions(self, name: str) -> Iterator[str]:
        route, condition = self._flow.route_to(name), self._when(name)
        if self._flow.is_undecided(name):
            told = listed(dict.fromkeys(e.route.told for e in self._flow.entries[name] if e.route), 3)
            yield from _comment(f"to do: when; what leads to {name} is decided by {told}")
        elif route and not condition:
            brought = f", and {listed(self._brought(name))} comes with it" if self._brought(name) else ""
            yield from _comment(f"each item is job.item{brought}: {route.told}")
        elif route and condition and condition["path"].startswith(f"{self._routes}."):
            [source] = ("the request" if edge.source == START else edge.source for edge in self._flow.entries[name])
            yield from _comment(f"to do: {source} writes {condition['path']}, as {route.told} decides")

    def _step(self, step: Step) -> dict[str, Any]:
        name, worker, ownership = step.id, step.worker, self._ownership
        declared: dict[str, Any] = {"id": name, "agent": worker, "action": name}
        condition = self._when(name)
        if needs := self._flow.needs[name]:
            declared["needs"] = needs
        if name in ownership.spread:
            declared["for_each"] = ownership.spread[name]
        if len(self._steps[worker]) > 1:
            reads = self._reads(step)
            fields = [ownership.field(path, name) for path in step.writes]
            if any(not ownership.is_settled(self._flow, path, name) for path in reads):
                declared["stale_ok"] = True
            declared |= {"reads": reads, "writes": [*fields, *self._decisions([step])]}
        if condition:
            declared["when"] = condition
        if step.schema:
            declared["schema"] = step.schema
        if step.instructions:
            declared["instructions"] = step.instructions
        return declared


def _compared(values: Sequence[Any]) -> dict[str, Any]:
    return {"op": "==", "value": values[0]} if len(values) == 1 else {"op": "in", "value": list(values)}


# --- YAML ---


def _item(step: Mapping[str, Any]) -> Iterator[str]:
    """A step on one line where there is room, else a line for each key."""
    line = f"- {_flow_of(step)}"
    if len(line) <= WIDTH - 2:
        yield line
        return
    first, *rest = _block(step)
    yield f"- {first}"
    yield from _indented(2, rest)


def _block(declared: Mapping[str, Any]) -> Iterator[str]:
    """A mapping on a line for each key, and so on where a value has no room on it."""
    for key, value in declared.items():
        line = f"{_text(key)}: {_flow_of(value)}"
        if len(line) <= WIDTH - 10 or not isinstance(value, Mapping) or not value:
            yield line
        else:
            yield f"{_text(key)}:"
            yield from _indented(2, _block(value))


def _flow_of(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_flow_of(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Iterable):
        return "[" + ", ".join(map(_flow_of, value)) + "]"
    return msgspec.json.encode(value).decode()


@lru_cache(maxsize=4_096)
def _text(text: str) -> str:
    """A text as YAML reads it back, quoted unless it is a plain name."""
    if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', width=len(text) * 10 + WIDTH, allow_unicode=False)
    return quoted.removesuffix("\n")


def _comment(text: str, indent: str = "") -> Iterator[str]:
    """A text as comments of bounded width, whatever is in it."""
    words = "".join(one if one.isprintable() else " " for one in text[:COMMENT_CHARS_MAX]).split()
    line = ""
    for word in words:
        if line and len(line) + len(word) + len(indent) > WIDTH - 10:
            yield f"# {indent}{line}"
            line = "  " + word
        else:
            line = f"{line} {word}" if line else word
    yield f"# {indent}{line}"


def _indented(columns: int, lines: Iterable[str]) -> Iterator[str]:
    return (" " * columns + line for line in lines)


def _duration(milliseconds: int) -> str:
    bounded = max(1, min(milliseconds, TIMEOUT_MS_MAX))
    return f"{bounded // 1_000}s" if bounded % 1_000 == 0 else f"{bounded}ms"
