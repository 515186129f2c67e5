"""Whole scenarios for the machine: a team, a plan without races, a request, and what each attempt of each step answers.

Plans are free of races by construction: a step needs every earlier one whose writes overlap its own. What an attempt
answers is computed from what it was shown, so that one wrong byte in one view is seen in everything downstream.
"""

import itertools
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from hypothesis import strategies as st

import interlock.core.events as e
from interlock.core import paths
from interlock.core.effects import EffectRule
from interlock.core.job import DELETE, Effect, Job, Question, Reply, Usage
from interlock.core.plan import Plan
from interlock.core.policy import Policy
from interlock.core.role import Role
from interlock.core.rules import Rules
from interlock.core.scope import Scope, Sharing
from interlock.core.step import Condition, Step
from interlock.core.values import Limits

STEPS_MAX = 12
WIDTH_MAX = 3
REDUCERS = {"log": "append", "sum": "add", "facts": "merge"}
AGENTS = ("ann", "bob", "cid")
STAND_IN = "eve"  # the fallback of ann
SUCCESSION = ("ann", STAND_IN, "bob")

# --- JSON ---

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
json_values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
json_objects = st.dictionaries(texts, json_values, max_size=4)

# --- what an attempt does ---


class Outcome(NamedTuple):
    """What one attempt answers. `reading` is how it looks at its view before it does."""

    kind: str
    reading: str


class Target(NamedTuple):
    """Something a step writes: a path that may hold {step} or {index}, and the form of the value."""

    path: str
    form: str


class Scenario(NamedTuple):
    """A run that is waiting to happen. scripts: per declared step what its attempts answer, one after another."""

    rules: Rules
    request: dict[str, Any]
    scripts: dict[str, tuple[Outcome, ...]]
    targets: dict[str, tuple[Target, ...]]

    def outcome(self, job: Job) -> Outcome:
        script = self.scripts[self.declared_id(job.step)]
        return script[(job.attempt - 1 + (job.index or 0)) % len(script)]

    def declared_id(self, step_id: str) -> str:
        declared = self.rules.plan.declared_id
        return declared.get(step_id) or declared[step_id.rpartition("-")[0]]

    def answer(self, job: Job) -> Any:
        """The reply of a good attempt: values computed from what it was shown."""
        seen = _look(job, self.outcome(job).reading)
        writes: dict[str, Any] = {}
        for target in self.targets[self.declared_id(job.step)]:
            path = target.path.replace("{step}", job.step).replace("{index}", str(job.index))
            writes.update(_written(target.form, path, seen, job))
        effects = [Effect("mail", seen, f"{n}") for n in range(max(0, seen % 5 - 2))]
        return Reply(writes=writes, output=seen, usage=Usage(seen % 100, 7, 0.25), confidence=0.5, effects=effects)


def _look(job: Job, reading: str) -> int:
    view: Any = job.view
    if reading == "all":
        shown = view.to_dict()
    elif reading == "some":
        shown = [view.get(path) for path in ("q", "ann", "bob.s1", "log", "nothing")]
    else:
        shown = job.step
    return crc32(repr((shown, job.item, job.feedback, job.attempt)).encode())


def _written(form: str, path: str, seen: int, job: Job) -> dict[str, Any]:
    forms = {
        "object": {path: {"seen": seen, "list": [seen, job.step][: seen % 3], "item": job.item}},
        "scalar": {path: seen},
        "empty": {path: {}},
        "quoted": {path: {"a.b": {"": seen, "*": []}, "é": {}, "k" * 1_100: True}},
        "below": {f"{path}.x": seen, f"{path}.y": {"z": -0.0}},
        "delete": {path: DELETE},
        "append": {path: {"by": job.step, "seen": seen}},
        "add": {path: seen % 1_000 if seen % 2 else seen % 64 / 4},
        "merge": {path: {job.step: seen, "same": [1]}},
    }
    return forms[form]


def refused_answer(job: Job) -> Any:
    """An answer that no step may give; which one depends on the attempt."""
    return [
        None,
        {"elsewhere": 1},
        {"q": float("nan")},
        {"log": {1, 2}, "sum": "many"},
        Reply(writes={"ann": 1, "ann.x": 2}, confidence=7),
        Reply(ask=Question("")),
    ][crc32(f"{job.step} {job.attempt}".encode()) % 6]


FAILURES = {
    "fail": ("error", "it broke", True),
    "timeout": ("timeout", "no answer within 5 s", True),
    "die": ("crash", "its process died", False),
}


def failure(kind: str, job: Job, at_us: int) -> e.AttemptFailed:
    how, error, retryable = FAILURES[kind]
    return e.AttemptFailed(at_us, job.step, job.attempt, how, error, retryable)


# --- plans ---

_READINGS = st.sampled_from(["all", "some", "none"])
_KINDS = st.sampled_from(["commit"] * 14 + ["refuse", "refuse", "fail", "fail", "timeout", "die", "ask"])
_SCRIPTS = st.lists(st.builds(Outcome, _KINDS, _READINGS), min_size=1, max_size=3).map(tuple)
_ACCESS = st.lists(
    st.sampled_from(["*", "q", "q.items", "ann", "bob.*", "cid.s1", "log", "facts", "draft"]), max_size=3
)
_POLICIES = st.builds(
    # A call may be lost as often as Hypothesis likes: the bound on that has a test of its own.
    lambda retries, backoff_ms: Policy(retries=retries, backoff_ms=backoff_ms, reissues_max=10**6),
    st.integers(0, 2),
    st.sampled_from([0, 200]),
)
_FORMS = st.sampled_from(["object", "object", "scalar", "empty", "quoted", "below", "delete"])
_MERGED = st.lists(st.sampled_from(list(REDUCERS)), unique=True, max_size=2)
_SHARED = st.sampled_from(["{own}", "{own}.common", "{own}.common.x", "{own}.s1"])
_OPERATORS = st.sampled_from(["==", "!=", "<", ">=", "exists", "absent"])
_ITEMS = st.lists(scalars | texts, max_size=WIDTH_MAX + 1)
_ON_DEAD = st.sampled_from(["fail_run", "fail_run", "skip", "continue"])
_SOMETIMES = st.sampled_from([False, False, True])


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """A race-free plan with all that a plan may hold, and outcomes for all of its attempts."""
    steps: list[Step] = []
    targets: dict[str, tuple[Target, ...]] = {}
    for number in range(draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 9]))):
        step, mine = draw(_steps(number, steps, targets))
        if sum(max(s.samples, 1) for s in [*steps, step]) <= STEPS_MAX:
            steps.append(step)
            targets[step.id] = mine
    rules = Rules(
        Plan(reversed(steps) if draw(st.booleans()) else steps),
        draw(_roles()),
        Sharing(reducers=REDUCERS, succession={"draft": SUCCESSION}),
        Limits(for_each_width_max=WIDTH_MAX),
        {"mail": EffectRule(retries=2, on_unknown="retry")},
    )
    return Scenario(rules, draw(_requests()), {step.id: draw(_SCRIPTS) for step in steps}, targets)


@st.composite
def _requests(draw: st.DrawFn) -> dict[str, Any]:
    request: dict[str, Any] = {"q": {"items": draw(_ITEMS), "word": "w", "n": draw(st.integers(0, 3))}}
    if draw(st.booleans()):
        request |= {"ann": draw(json_objects), "log": ["first"], "sum": 10, "facts": {"from the request": True}}
    return request | ({"bob": {}, "draft": 0} if draw(st.booleans()) else {})


@st.composite
def _roles(draw: st.DrawFn) -> dict[str, Role]:
    roles = {}
    for name in (*AGENTS, STAND_IN):
        own = "ann" if name == STAND_IN else name
        writable = [own, *REDUCERS, *(["draft"] if name in SUCCESSION else [])]
        fallback = STAND_IN if name == "ann" else None
        scope = Scope(["act", "mail"], draw(_ACCESS), writable)
        roles[name] = Role(scope, draw(_POLICIES), fallback=fallback, on_dead=draw(_ON_DEAD))
    return roles


@st.composite
def _steps(
    draw: st.DrawFn, number: int, before: list[Step], targets: dict[str, tuple[Target, ...]]
) -> tuple[Step, tuple[Target, ...]]:
    agent = draw(st.sampled_from(AGENTS))
    copies = draw(st.sampled_from(["", "", "", "samples", "for_each"]))
    mine = draw(_targets(agent, before, targets, alone=not copies))
    committed = [f"{step.agent}.{step.id}" for step in before]
    step = Step(
        f"s{number}",
        agent,
        "act",
        needs=draw(st.lists(st.sampled_from([step.id for step in before]), unique=True, max_size=3)) if before else (),
        reads=[f"{agent}.s{number}", "log"] if draw(_SOMETIMES) else None,
        writes=[target.path for target in mine],
        stale_ok=True,
        samples=draw(st.integers(2, 3)) if copies == "samples" else 0,
        for_each=draw(_lists_to_expand(committed)) if copies == "for_each" else None,
        width=draw(st.sampled_from([0, 0, 1, 2])) if copies == "for_each" else 0,
        batch=draw(st.sampled_from([0, 0, 0, 2])) if copies == "for_each" else 0,
        when=draw(_conditions(committed)) if draw(_SOMETIMES) else None,
        join="any_outcome" if draw(_SOMETIMES) else "all",
        on_dead=draw(st.sampled_from([None, None, None, "fail_run", "skip", "continue"])),
    )
    ordered = [other.id for other in before if _overlap(_written_by(step), _written_by(other))]
    return msgspec.structs.replace(step, needs=tuple(dict.fromkeys((*step.needs, *ordered)))), mine


def _lists_to_expand(committed: list[str]) -> st.SearchStrategy[str]:
    lists = [f"{path}.list" for path in committed]
    return st.sampled_from(["q.items"] * 5 + ["q.word", "nothing", "log", *lists, *lists])


def _conditions(committed: list[str]) -> st.SearchStrategy[Condition]:
    of_interest = ["q.n", "q.word", "nothing", *(f"{path}.seen" for path in committed)]
    return st.builds(Condition, st.sampled_from(of_interest), _OPERATORS, st.just(1))


@st.composite
def _targets(
    draw: st.DrawFn, agent: str, before: list[Step], targets: dict[str, tuple[Target, ...]], *, alone: bool
) -> tuple[Target, ...]:
    found = [Target(f"{agent}.{{step}}", draw(_FORMS))]
    if alone and draw(_SOMETIMES):
        # A field that other steps write as well, or all that the agent owns.
        found = [Target(draw(_SHARED).replace("{own}", agent), draw(_FORMS))]
    if alone and agent in SUCCESSION and not _passed_on(agent, before, targets) and draw(_SOMETIMES):
        found.append(Target("draft", draw(_FORMS)))
    return (*found, *(Target(field, REDUCERS[field]) for field in draw(_MERGED)))


def _passed_on(agent: str, before: list[Step], targets: dict[str, tuple[Target, ...]]) -> bool:
    """Whether the draft has already gone from its first owner to the next."""
    return agent == "ann" and any(step.agent == "bob" and "draft" in dict(targets[step.id]) for step in before)


def _written_by(step: Step) -> list[str]:
    name = f"{step.id}-0" if step.samples or step.for_each else step.id
    return [path.replace("{step}", name) for path in step.writes or () if path not in REDUCERS]


def _overlap(one: list[str], other: list[str]) -> bool:
    return any(paths.intersection(a, b) is not None for a, b in itertools.product(one, other))
