"""A step as it is declared, and what may be wrong with it by itself."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec

from interlock.errors import PlanError, ValueRefused

from . import paths
from .naming import is_id
from .policy import RETRIES_MAX, TIMEOUT_MS_MAX, duration_ms
from .reconcile import EXAMPLE, Reconcile
from .scope import texts
from .states import OnDead
from .values import encode
from .waits import WAITS, Wait

SAMPLES_MAX = 100
WIDTH_MAX = 100_000
INDEX = "{index}"
_INDEX_THEN_DIGIT = re.compile(r"\{index\}.*(\d|\{index\})", re.DOTALL)
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "exists", "absent"]
Join = Literal["all", "any_outcome"]
# Defaults are left out of what is hashed, and msgspec knows a default by identity: equal text must be this very text.
_EQUAL: Operator = "=="
_ALL: Join = "all"
_JOINS, _ON_DEAD = get_args(Join), get_args(OnDead)


class Condition(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`when`: a step runs only where the committed value at `path` compares so with `value`.

    An absent path fulfils `absent` and `!=` and `not in` alone; values of different JSON types are unequal and have no
    order, so `<` between a string and a number does not hold. Raises PathError; PlanError for an unknown operator, and
    for a value that is not JSON: nothing committed could equal it.
    """

    path: str
    op: Operator = _EQUAL
    value: Any = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "path", paths.canonical(self.path))
        if self.op not in get_args(Operator):
            fix = f"use one of: {', '.join(get_args(Operator))}"
            raise PlanError(f"the condition on {self.path} has the operator {self.op!r}", fix=fix, place=("plan",))
        if self.op == _EQUAL:
            msgspec.structs.force_setattr(self, "op", _EQUAL)
        try:
            encode(self.value)
        except ValueRefused as error:
            message = f"the value of the condition on {self.path}: {error.message}"
            raise PlanError(message, place=("plan",)) from error

    def __str__(self) -> str:
        tail = "" if self.op in {"exists", "absent"} else f" {msgspec.json.encode(self.value).decode()}"
        return f"{self.path} {self.op}{tail}"


class Step(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One agent doing one action, or a wait, or a reconciliation.

    needs: ids of steps that must be done first. reads, writes: path patterns that narrow the agent's scope for this
    step; in `writes`, `{step}` is the step's id and `{index}` its number. stale_ok: it may read what an unordered step
    writes. samples: that many independent copies, named id-1, id-2, ... for_each: one copy per item of the list at
    this path, named id-0, id-1, ... width: how many of these may be under way at a time; 0 for all. batch: so many
    items go to one copy, as a list; 0 for one item, as it is. when: run only where this holds. join: `any_outcome`
    runs although a need died.
    on_dead: what its being given up means for the run: `fail_run`, `skip` (it counts as skipped) or `continue` (who
    needs it runs all the same); by default what its agent says.
    timeout, backoff, retry_for: durations such as `2s`; with `retries` they override the agent's. schema: a JSON
    Schema over the writes, beside the agent's. guardrails: checks on its replies, beside the agent's. threshold: the
    score they must reach, in place of the agent's. budget: what its calls may consume in one run, such as `{calls:
    3}`. escalate: what a person is asked for, in place of the agent's; see Escalation.of. on_request: which step runs
    when this one's agent requests an action, such as `{escalate: resolve}`: a branch of the plan, which comes after
    this step and is skipped where nobody has requested it.

    A step without an agent waits. wait: a duration such as `2h`, or `{until: TIME}`, where TIME is like
    `2026-12-01T09:00:00Z`, or the path of such a text in the context. await_event: the name of an event that comes from
    outside; what it brings is written at the one path in `writes`. deadline: how long for; on_deadline: what becomes of
    the step then: `dead`, `skip`, `continue`, or `{default: {path: value}}`.

    reconcile: what others have said of one thing is compared field by field, and written at the one path in `writes`,
    such as `{among: extractions, policy: vote, otherwise: person}`; see Reconcile. Such a step has an agent only where
    that judges: `policy: judge`.
    """

    id: str
    agent: str = ""
    action: str = ""
    needs: Sequence[str] = ()
    reads: Sequence[str] | None = None
    writes: Sequence[str] | None = None
    stale_ok: bool = False
    instructions: str = ""
    samples: int = 0
    for_each: str | None = None
    when: Condition | None = None
    join: Join = _ALL
    on_dead: OnDead | None = None
    timeout: str | None = None
    retries: int | None = None
    backoff: str | None = None
    retry_for: str | None = None
    schema: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None
    guardrails: Sequence[Any] = ()
    threshold: float | None = None
    escalate: bool | Mapping[str, Any] | None = None
    on_request: Mapping[str, str] = {}
    width: int = 0
    batch: int = 0
    wait: str | Mapping[str, Any] | None = None
    await_event: str = ""
    deadline: str | None = None
    on_deadline: str | Mapping[str, Any] | None = None
    reconcile: Mapping[str, Any] | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits, and nobody does anything."""
        return self.wait is not None or self.await_event != ""

    @property
    def by_itself(self) -> bool:
        """Whether no agent does it: it waits, or reconciles without a judge."""
        return self.waits or (self.reconcile is not None and not self.agent)

    def __post_init__(self) -> None:
        set_field = msgspec.structs.force_setattr
        if self.needs != ():
            set_field(self, "needs", _texts(self.needs, "needs", self.id))
        if self.reads is not None:
            set_field(self, "reads", tuple(map(paths.parse_pattern, _texts(self.reads, "reads", self.id))))
        if self.writes is not None:
            set_field(self, "writes", tuple(map(paths.parse_pattern, _texts(self.writes, "writes", self.id))))
        if self.for_each is not None:
            set_field(self, "for_each", paths.canonical(self.for_each))
        if self.join is not _ALL and self.join == _ALL:
            set_field(self, "join", _ALL)
        when: Any = self.when
        if when is not None and isinstance(when, Mapping):
            set_field(self, "when", _condition(when, self.id))
        if tuple(map(type, msgspec.structs.astuple(self))) not in _RIGHT_KINDS:
            self._check_kinds()
        if self.writes is None and self.waits:
            set_field(self, "writes", ())
        if self.guardrails != ():
            set_field(self, "guardrails", listed(self.guardrails))
        if self.on_request or type(self.on_request) is not dict:
            set_field(self, "on_request", _branches(self.on_request, self.id))
        if self.threshold is not None and not 0 < self.threshold <= 1:
            message = f"the threshold of step {self.id} is {self.threshold}"
            raise PlanError(message, fix="more than 0, up to 1", place=("plan", self.id, "threshold"))

    def deciding(self) -> "Step":
        """This step as a decision about the plan: it writes nothing by itself, and runs whatever became of others."""
        return msgspec.structs.replace(self, writes=(), join="any_outcome")

    def _check_kinds(self) -> None:
        for name, kind in _KINDS.items():
            if not isinstance(getattr(self, name), kind):
                found = type(getattr(self, name)).__name__
                raise PlanError(f"{name} of step {self.id} is a {found}", place=("plan", self.id, name))
        if len(_RIGHT_KINDS) < KINDS_MAX:
            _RIGHT_KINDS.add(tuple(map(type, msgspec.structs.astuple(self))))

    def batched(self, items: list[Any]) -> list[Any]:
        """The items that its copies get, of those in its list."""
        if not self.batch:
            return items
        return [items[first : first + self.batch] for first in range(0, len(items), self.batch)]


def _texts(value: Any, name: str, step: str) -> tuple[str, ...]:
    if type(value) is tuple and {*map(type, value)} <= _STR:
        return value
    return texts(value, f"{name} of step {step}")


def listed(guardrails: Sequence[Any]) -> tuple[Any, ...]:
    """Declared guardrails, where code alone is written as in a team file."""
    return tuple({"use": guardrail} if callable(guardrail) else guardrail for guardrail in guardrails)


def _condition(when: Mapping[str, Any], step: str) -> Condition:
    """A condition that was written as a mapping, as in a team file."""
    try:
        return Condition(**when)
    except TypeError as error:
        message = f"when of step {step}: {error}"
        raise PlanError(message, fix="give it a path, an op and a value", place=("plan", step, "when")) from error


def _branches(on_request: Mapping[Any, Any], step: str) -> dict[str, str]:
    if not all(isinstance(text, str) for text in (*on_request, *on_request.values())):
        message = f"on_request of step {step} holds something that is not a string"
        raise PlanError(message, fix="name a step for each action", place=("plan", step, "on_request"))
    return dict(on_request)


# The types of the fields of steps that were found right: those of most steps are the same.
KINDS_MAX = 1_000
_RIGHT_KINDS: set[tuple[type, ...]] = set()
_STR = {str}
_NONE = type(None)
_KINDS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "agent": (str,),
    "action": (str,),
    "instructions": (str,),
    "samples": (int,),
    "width": (int,),
    "batch": (int,),
    "retries": (int, _NONE),
    "timeout": (str, _NONE),
    "backoff": (str, _NONE),
    "retry_for": (str, _NONE),
    "when": (Condition, _NONE),
    "schema": (Mapping, _NONE),
    "budget": (Mapping, _NONE),
    "guardrails": (list, tuple),
    "threshold": (int, float, _NONE),
    "escalate": (bool, Mapping, _NONE),
    "on_request": (Mapping,),
    "wait": (str, Mapping, _NONE),
    "await_event": (str,),
    "deadline": (str, _NONE),
    "on_deadline": (str, Mapping, _NONE),
    "reconcile": (Mapping, _NONE),
}


def checked(step: Step) -> Step:
    """A step that nothing is wrong with by itself. Raises PlanError."""
    place = ("plan", step.id)
    if not is_id(step.id):
        raise PlanError(f"{step.id!r} is not a step id", fix="use letters, digits, _ and -, at most 80", place=place)
    _check_kind(step)
    if step.samples:
        _check_samples(step)
    if step.width:
        _check_share(step, "width")
    if step.batch:
        _check_share(step, "batch")
    if step.retries is not None and not 0 <= step.retries <= RETRIES_MAX:
        message = f"step {step.id} wants {step.retries} retries; 0 to {RETRIES_MAX} are possible"
        raise PlanError(message, place=(*place, "retries"))
    if step.join not in _JOINS:
        fix = f"use one of: {', '.join(_JOINS)}"
        raise PlanError(f"step {step.id} has the join {step.join!r}", fix=fix, place=(*place, "join"))
    if step.on_dead is not None and step.on_dead not in _ON_DEAD:
        fix = f"use one of: {', '.join(_ON_DEAD)}"
        raise PlanError(f"step {step.id} has the on_dead {step.on_dead!r}", fix=fix, place=(*place, "on_dead"))
    if step.timeout is not None or step.backoff is not None or step.retry_for is not None:
        _check_durations(step)
    for pattern in step.writes or ():
        if "{" in pattern:
            _check_template(step, pattern)
    return step


def _check_samples(step: Step) -> None:
    place = ("plan", step.id, "samples")
    if step.for_each:
        raise PlanError(f"step {step.id} has both samples and for_each", fix="keep one", place=place)
    if not 1 <= step.samples <= SAMPLES_MAX:
        message = f"step {step.id} wants {step.samples} samples; 1 to {SAMPLES_MAX} are possible"
        raise PlanError(message, place=place)


def _check_durations(step: Step) -> None:
    for name, text in (("timeout", step.timeout), ("backoff", step.backoff), ("retry_for", step.retry_for)):
        if text is not None and not 0 < duration_ms(text) <= TIMEOUT_MS_MAX:
            message = f"the {name} of step {step.id} is {text}; more than 0 and up to 7d is possible"
            raise PlanError(message, place=("plan", step.id, name))


def _check_share(step: Step, name: str) -> None:
    """What bounds the copies of a for_each says something only of one."""
    number, place = getattr(step, name), ("plan", step.id, name)
    if step.for_each is None:
        raise PlanError(f"step {step.id} has a {name}, but no for_each", fix="remove it", place=place)
    if not 1 <= number <= WIDTH_MAX:
        message = f"the {name} of step {step.id} is {number:,}; 1 to {WIDTH_MAX:,} is possible"
        raise PlanError(message, place=place)


def _check_kind(step: Step) -> None:
    """A step is done by an agent, or waits."""
    if step.reconcile is not None:
        _check_reconcile(step)
    elif step.wait is not None or step.await_event:
        _check_wait(step)
    elif not step.agent or not step.action:
        lacking = "action" if step.agent else "agent"
        place = ("plan", step.id, lacking)
        raise PlanError(f"step {step.id} has no {lacking}", fix=f"name one; {WAITS}", place=place)
    elif step.deadline is not None or step.on_deadline is not None:
        message = f"step {step.id} has a deadline, and awaits no event"
        place = ("plan", step.id, "deadline")
        raise PlanError(message, fix="remove it, or ask a person with escalate", place=place)


def wait_of(step: Step) -> Wait:
    """What a step waits for. Raises PlanError."""
    return Wait.of(step.wait, step.await_event, step.deadline, step.on_deadline)


def reconcile_of(step: Step) -> Reconcile:
    """What a step reconciles. Raises PlanError."""
    assert step.reconcile is not None
    return Reconcile.of(step.reconcile)


def _check_reconcile(step: Step) -> None:
    place = ("plan", step.id)
    try:
        declared = reconcile_of(step)
    except PlanError as error:
        fix = error.fix or EXAMPLE
        raise PlanError(f"step {step.id}: {error.message}", fix=fix, place=(*place, "reconcile")) from error
    judged = "judge" in declared.ways
    if judged != bool(step.agent) or judged != bool(step.action):
        message = f"step {step.id} has {'no judge' if judged else 'an agent, and its policy asks none'}"
        fix = "give it agent and action" if judged else "remove agent and action, or write policy: judge"
        raise PlanError(message, fix=fix, place=(*place, "reconcile"))
    barred = _NOT_OF_JUDGES if judged else tuple(name for name in _OF_AGENTS if name != "escalate")
    for name in (*barred, "wait", "await_event", "deadline", "on_deadline"):
        if getattr(step, name) != getattr(_NOTHING_SAID, name):
            raise PlanError(f"step {step.id} reconciles, and has {name}", fix="remove it", place=(*place, name))
    if step.escalate is not None and ("person" not in declared.ways or step.escalate is False):
        message = f"step {step.id} has escalate, and whether a person is asked is said by its policy"
        raise PlanError(message, fix="remove it", place=(*place, "escalate"))
    written = step.writes or ()
    if len(written) != 1 or paths.base(written[0]) != written[0]:
        message = f"step {step.id} reconciles, and what that comes to is written at one path"
        raise PlanError(message, fix="name one field in writes", place=(*place, "writes"))
    target = written[0]
    inside = next((p for p in declared.among if paths.inside(p, target) or paths.inside(target, p)), None)
    if inside is not None or "{" in target:
        message = f"step {step.id} writes {target}, which is not apart from the candidates"
        raise PlanError(message, fix="write it somewhere else", place=(*place, "writes"))


def _check_wait(step: Step) -> None:
    place, key = ("plan", step.id), "wait" if step.wait is not None else "await_event"
    for name in _OF_AGENTS:
        if getattr(step, name) != getattr(_NOTHING_SAID, name):
            message = f"step {step.id} waits, and has {name}, which is said of agents"
            raise PlanError(message, fix="remove it, or make it two steps", place=(*place, name))
    try:
        wait = wait_of(step)
    except PlanError as error:
        raise PlanError(f"step {step.id}: {error.message}", fix=error.fix, place=(*place, key)) from error
    bare = not step.await_event and (step.writes or step.schema is not None)
    if bare:
        raise PlanError(f"step {step.id} writes nothing: it only waits", fix="remove it", place=(*place, "writes"))
    if len(step.writes or ()) > 1 or any(paths.base(pattern) != pattern for pattern in step.writes or ()):
        message = f"step {step.id} awaits an event, and what that brings is written at one path"
        raise PlanError(message, fix="name one field in writes", place=(*place, "writes"))
    stray = next((path for path in wait.default if path not in (step.writes or ())), None)
    if stray is not None:
        message = f"step {step.id} does not write {stray}, which its default has"
        raise PlanError(message, fix="name the path that stands in its writes", place=(*place, "on_deadline"))


def _check_template(step: Step, pattern: str) -> None:
    place = ("plan", step.id, "writes")
    if INDEX in pattern and not step.samples and step.for_each is None:
        message = f"step {step.id} writes {pattern}, but only samples and for_each have an {INDEX}"
        raise PlanError(message, place=place)
    # The race proof knows the paths of items by the last digits of a segment: those must be the index.
    expanded = pattern.replace("{step}", f"{step.id}-{INDEX}") if step.for_each is not None else ""
    if INDEX in expanded and any(map(_INDEX_THEN_DIGIT.search, paths.split(paths.base(expanded)))):
        message = f"step {step.id} writes {pattern}: in one segment no digit may follow the index of an item"
        raise PlanError(message, fix="put the digits before it, or into a segment of their own", place=place)


# What is said of agents, and says nothing of a step that waits.
_OF_AGENTS = (
    "agent",
    "action",
    "reads",
    "stale_ok",
    "instructions",
    "samples",
    "for_each",
    "width",
    "batch",
    "timeout",
    "retries",
    "backoff",
    "retry_for",
    "budget",
    "guardrails",
    "threshold",
    "escalate",
    "on_request",
)
# What says nothing of a judge of contradictions.
_NOT_OF_JUDGES = ("reads", "samples", "for_each", "width", "batch", "on_request")
REQUEST = _NOTHING_SAID = Step("")
