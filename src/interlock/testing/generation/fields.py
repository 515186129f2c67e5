"""The fields that a good reply writes: which they are, and what makes the value of each."""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any, NamedTuple

from interlock.core import paths
from interlock.core.job import Job
from interlock.core.reducers import REDUCERS
from interlock.core.role import Duty
from interlock.core.rules import Rules
from interlock.core.step import Step
from interlock.errors import PlanError

from .fitting import Fits, Part, fitting, makers, narrowed, shaped, swayed, with_parts
from .free import HALF, free, listed, share
from .from_schema import maker
from .interests import Interest, described, interests_of, schemas_of
from .texts import Make, pick, text

FREE_FIELDS_MAX = 8

Put = Callable[[dict[str, Any], Job, Random], None]


class Field(NamedTuple):
    """Something that a reply may write: how often, 1 for always, and what puts it among the writes."""

    share: float
    put: Put


class Fields:
    """What a reply may write, field by field. sure: the numbers of those of which one is written at least.

    Raises TeamError where no reply could be accepted.
    """

    def __init__(self, rules: Rules, step: Step, duty: Duty, patterns: tuple[str, ...]) -> None:
        self._step, self._duty, self._reducers = step, duty, rules.sharing.reducers
        self._schemas = schemas_of(rules, step, [duty.agent])
        self._patterns = paths.Patterns(patterns)
        self._interests = interests_of(rules)
        self._width = rules.limits.for_each_width_max
        self._described = list(dict.fromkeys(path for schema in self._schemas for path in described(schema)))
        self._kinds = [{paths.canonical(p): kind for p, kind in s.get("properties", {}).items()} for s in self._schemas]
        self._closed = [schema.get("additionalProperties", True) is False for schema in self._schemas]
        required = (paths.canonical(path) for schema in self._schemas for path in schema.get("required", []))
        self._required = list(dict.fromkeys(required))
        self.all = [*self._described_fields(), *self._free_fields()]
        always = any(field.share == 1 for field in self.all)
        self.sure = [] if always else [at for at, field in enumerate(self.all) if field.share > HALF]

    # --- fields with a schema ---

    def _described_fields(self) -> Iterator[Field]:
        writable = [path for path in self._described if self._may_write(path)]
        roots = [path for path in writable if not any(above in writable for above in paths.prefixes(path))]
        for path in self._required:
            if not any(paths.inside(path, root) for root in roots):
                raise self._impossible(path, "its schema requires it, and the step may not write it like that")
        for root in roots:
            required = any(paths.inside(path, root) for path in self._required)
            yield Field(1.0 if required else share(self._interests.at(root)), self._described_put(root))

    def _may_write(self, path: str) -> bool:
        """Whether writing just this path can be all right, whatever the value."""
        if not self._patterns.cover(path) or self._near_reducer(path):
            return False
        above = paths.prefixes(path)
        return all(
            path in kinds or not (closed or any(prefix in kinds for prefix in above))
            for kinds, closed in zip(self._kinds, self._closed, strict=True)
        )

    def _near_reducer(self, path: str) -> bool:
        """Whether a field with a reducer lies strictly above or below: it is only ever written as a whole."""
        if path in self._reducers:
            return False
        return any(paths.inside(path, field) or paths.inside(field, path) for field in self._reducers)

    def _described_put(self, root: str) -> Put:
        interest, schemas = self._interests.at(root), self._schemas_of(root)
        parts = list(self._parts_of(root))
        makes = makers(schemas, root) if schemas else [free(interest, self._width)]
        if len(schemas) == 1 and not parts and _is_plain(interest):
            return _put(root, makes[0])
        if interest is not None and interest.listed and not any(map(_says_what, schemas)):
            makes = [listed(self._width)]
        must, like = self._must(root), shaped(interest, self._width)
        made = fitting([with_parts(make, parts) for make in makes], must, like)
        if made is None:
            raise self._impossible(root, "no value was found that its schemas and its reducer all accept")
        if self._reducers.get(root) == "merge":
            return _merged(root, made, must)
        return _put(root, swayed(made, interest, lambda value: must(value) and like(value)))

    def _schemas_of(self, path: str) -> list[Mapping[str, Any]]:
        return [kinds[path] for kinds in self._kinds if path in kinds]

    def _parts_of(self, root: str) -> Iterator[Part]:
        """The paths below a described one that are described as well, the outer ones first."""
        depth = len(paths.split(root))
        for path in sorted(self._described, key=lambda path: len(paths.split(path))):
            if path != root and paths.inside(path, root):
                schemas = self._schemas_of(path)
                make = makers(schemas, path)[0] if schemas else free(self._interests.at(path), self._width)
                yield Part(paths.split(path)[depth:], make, always=path in self._required)

    def _must(self, root: str) -> Fits:
        checks = [narrowed(schema, lambda path: paths.inside(paths.canonical(path), root)) for schema in self._schemas]
        schemas = [check for check in checks if check is not None]
        kind = self._reducers.get(root)

        def must(value: Any) -> bool:
            if kind is not None and REDUCERS[kind].problem(value, ()):
                return False
            return not any(schema.findings({root: value}) for schema in schemas)

        return must

    def _impossible(self, path: str, why: str) -> PlanError:
        message = f"no reply of {self._duty.agent} in step {self._step.id} can be accepted: {path}: {why}"
        return PlanError(message, fix="mend the schemas, or what the step may write", place=("plan", self._step.id))

    # --- fields without one ---

    def _free_fields(self) -> Iterator[Field]:
        if any(self._closed):
            return
        found: dict[str, None] = {}
        for pattern in self._patterns.patterns:
            root = paths.base(pattern)
            found.update(dict.fromkeys(self._below(root) if paths.is_open(pattern) else self._at(root)))
        outer = [path for path in found if not any(above in found for above in paths.prefixes(path))]
        needed = [path for path in outer if share(self._interests.at(path)) == 1]
        for path in dict.fromkeys((*needed, *outer[:FREE_FIELDS_MAX])):
            interest = self._interests.at(path)
            yield Field(share(interest), self._free_put(path, interest))

    def _at(self, path: str) -> Iterator[str]:
        """The paths to write for leave to write one: itself, or what lies below where something else stands there."""
        above = any(paths.inside(other, path) for other in (*self._described, *self._reducers) if other != path)
        if above:
            yield from self._below(path)
        elif self._may_write(path) and not any(paths.inside(path, other) for other in self._described):
            yield path

    def _below(self, path: str) -> Iterator[str]:
        interest = self._interests.at(path)
        names = [name for name, _ in interest.sought()] if interest is not None else []
        for name in names or _invented(interest):
            yield from self._at(f"{path}.{paths.segment(name)}" if path else paths.segment(name))

    def _free_put(self, path: str, interest: Interest | None) -> Put:
        if path in self._reducers:
            return _contribution(path, self._reducers[path])
        whole = _put(path, free(interest, self._width))
        inner = [] if interest is None else list(interest.sought())
        if not inner:
            return whole
        parts = [
            Field(share(child), _put(f"{path}.{paths.segment(name)}", free(child, self._width)))
            for name, child in inner
        ]

        def put(writes: dict[str, Any], job: Job, random: Random) -> None:
            if pick(random, (True, False)):
                whole(writes, job, random)
                return
            for often, part in parts:
                if random.random() < often:
                    part(writes, job, random)

        return put


def _says_what(schema: Mapping[str, Any]) -> bool:
    return any(key in schema for key in ("type", "enum", "const", "examples", "default"))


def _is_plain(interest: Interest | None) -> bool:
    """Whether any value will do there that its own schema allows."""
    nodes = [] if interest is None else [node for _, node in interest.below()]
    return not any(node.branch or node.listed or node.merged or node.conditions for node in nodes)


def _invented(interest: Interest | None) -> list[str]:
    """Names for the children of a place of which no child is asked for by name."""
    known = () if interest is None else interest.children
    return [name for name in ("x", "y", "z") if name not in known][:2]


def _put(path: str, make: Make) -> Put:
    def put(writes: dict[str, Any], _job: Job, random: Random) -> None:
        writes[path] = make(random)

    return put


# --- fields with a reducer ---


_ADDEND = maker({"type": "integer", "minimum": -10, "maximum": 1_000})


def _contribution(path: str, kind: str) -> Put:
    if kind == "merge":
        return lambda writes, job, random: writes.__setitem__(path, {job.step: text(random)})
    return _put(path, _ADDEND if kind == "add" else text)


def _merged(path: str, make: Make, must: Fits) -> Put:
    """Two steps may not give one key different values: keys of the step's own, or else the same values for all."""

    def put(writes: dict[str, Any], job: Job, random: Random) -> None:
        own = {f"{job.step} {key}": inner for key, inner in make(random).items()}
        writes[path] = own if must(own) else make(Random(0))  # noqa: S311 - the same on purpose

    return put
