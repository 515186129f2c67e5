"""Faults: what shall go wrong, declared in Python or in YAML.

    faults:
      - {fault: timeout, agent: triage, attempt: 1}
      - {fault: invented_fields, step: resolve, probability: 0.1}
      - {fault: crash_before_write, probability: 0.02}

Whether one strikes is drawn by name, so it doesn't hang on what else was drawn, and in which order.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from interlock.core.naming import hint
from interlock.core.rules import PROBLEMS_MAX
from interlock.core.step import Step
from interlock.core.values import decode, encode_canonical
from interlock.errors import FaultsError, TeamError
from interlock.team import Team
from interlock.team.shapes import SHOWN_CHARS_MAX, Choice, Field, Many, Place, Record, Whole, dotted, kind_of
from interlock.team.source import Source, read
from interlock.team.values import NAME
from interlock.testing.chance import Chance

# What an agent answers instead of its reply.
GarbageKind = Literal[
    "wrong_shape",  # no reply at all: a text, a list, nothing
    "wrong_type",  # a value of another type than it should be
    "truncated",  # the reply as JSON text that breaks off
    "oversized",  # a value beyond the size limits
    "off_topic",  # texts that have nothing to do with the request
    "invented_fields",  # fields that nobody asked for and that the agent may not write
    "altered_values",  # numbers and names that it was shown, changed
    "injected_prompt",  # texts with instructions to whoever reads them
]
# What becomes of a call. `garbage` is any of the above.
CallKind = Literal["timeout", "exception", "refusal", "slow", "late", "duplicate", "garbage"] | GarbageKind
# What becomes of a write of the journal, and of the process that writes.
WriteKind = Literal["crash_before_write", "crash_after_write", "write_error", "disk_full", "stale_driver"]
# What becomes of a try of an effect.
EffectKind = Literal["effect_error", "effect_timeout", "effect_lost"]
# What happens to a process or a run at any moment.
MomentKind = Literal["crash", "clock_jump", "cancel"]

GARBAGE: tuple[str, ...] = get_args(GarbageKind)
WRITE: tuple[str, ...] = get_args(WriteKind)
MOMENT: tuple[str, ...] = get_args(MomentKind)
EFFECT: tuple[str, ...] = get_args(EffectKind)

KINDS: Mapping[str, str] = {
    "timeout": "The agent doesn't answer before its timeout.",
    "exception": "The agent raises an error.",
    "refusal": "The agent refuses for good: it raises an error after which it isn't asked again.",
    "slow": "The agent takes `seconds`; by default half to one and a half of its timeout, by chance.",
    "late": "The agent ignores its cancellation and answers `seconds` after its timeout, when nobody waits any more.",
    "duplicate": "The agent is called twice with one idempotency key, as by a transport that retries.",
    "garbage": "The agent answers garbage: one of the eight kinds that follow, by chance.",
    "wrong_shape": "The agent answers something that is no reply: a text, a list, a number, nothing.",
    "wrong_type": "One value is of another JSON type, or is no JSON at all: a datetime, a set, NaN.",
    "truncated": "The reply is JSON text that breaks off in the middle.",
    "oversized": "The reply is beyond a limit: a value too large, too deep, or too many fields.",
    "off_topic": "The texts of the reply are about something else.",
    "invented_fields": "The reply writes one to three fields that are not its agent's, or requests what it may not.",
    "altered_values": "Numbers, dates and names that the agent was shown come back changed.",
    "injected_prompt": "The texts of the reply hold instructions to whoever reads them.",
    "crash_before_write": "The process dies just before it writes to the journal.",
    "crash_after_write": "The process dies just after it has written to the journal.",
    "write_error": "A write to the journal fails.",
    "disk_full": "A write to the journal finds the disk full.",
    "stale_driver": "A write to the journal finds that another process has taken the run over.",
    "crash": "The process dies.",
    "clock_jump": "The wall clock jumps by `seconds`; by default up to an hour forward or back, by chance.",
    "cancel": "Somebody cancels the run.",
    "effect_error": "A try of an effect fails before anything is done, and says so.",
    "effect_timeout": "A try of an effect hangs until its timeout, and nobody knows whether anything was done.",
    "effect_lost": "An effect is performed, and its answer is lost: nobody knows whether anything was done.",
}
CALL: tuple[str, ...] = tuple(kind for kind in KINDS if kind not in {*WRITE, *MOMENT, *EFFECT})
# The conditions that a kind of fault may have, beside its probability.
CONDITIONS: Mapping[str, Collection[str]] = {
    **dict.fromkeys(CALL, ("agent", "step", "attempt")),
    **dict.fromkeys(EFFECT, ("step", "attempt")),
}
TIMED = ("slow", "late", "clock_jump")

FAULTS_MAX = 1_000
SECONDS_MAX = 366 * 86_400.0
CLOCK_JUMP_SECONDS = 3_600.0
PROBABILITY = 0.02
MOMENT_SECONDS_MAX = 8.0


# --- how they are declared ---


class _Number(msgspec.Struct, frozen=True):
    """A number within bounds."""

    least: float
    most: float

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Not a number, or out of bounds."""
        if type(value) not in {int, float} or not self.least <= value <= self.most:
            what = f"a number from {self.least:,.12g} to {self.most:,.12g}"
            shown = repr(value[:SHOWN_CHARS_MAX]) if isinstance(value, str) else kind_of(value)
            fix = "write it without a unit and without quotes" if isinstance(value, str) else ""
            yield TeamError(f"{dotted(place)} is {shown}, not {what}", fix=fix, place=place)

    def schema(self) -> dict[str, Any]:
        """A bounded number."""
        return {"type": "number", "minimum": self.least, "maximum": self.most}


def _fault_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    """Conditions and details that have no meaning for the kind: a fault that is never injected deceives."""
    kind = value.get("fault")
    if not isinstance(kind, str) or kind not in KINDS:
        return
    for key in ("agent", "step", "attempt"):
        if key in value and key not in CONDITIONS.get(kind, ()):
            at = (*place, key)
            message = f"{dotted(at)}: {kind} doesn't belong to a call, so it has no {key}"
            yield TeamError(message, fix="remove it", place=at)
    at = (*place, "seconds")
    seconds = value.get("seconds")
    if seconds is not None and kind not in TIMED:
        message = f"{dotted(at)}: {kind} takes no seconds, only {', '.join(TIMED)} do"
        yield TeamError(message, fix="remove it", place=at)
    elif kind != "clock_jump" and isinstance(seconds, int | float) and seconds <= 0:
        yield TeamError(f"{dotted(at)} is {kind_of(seconds)}; {kind} takes more than 0", place=at)


def _count_problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    faults = value.get("faults")
    if isinstance(faults, list | tuple) and len(faults) > FAULTS_MAX:
        message = f"there are {len(faults):,} faults; at most {FAULTS_MAX:,} are possible"
        yield TeamError(message, fix="leave out an agent or a step to stand for all of them", place=(*place, "faults"))


FAULT = Record(
    "a fault",
    {
        "fault": Field(Choice(tuple(KINDS)), "What goes wrong.", required=True),
        "agent": Field(NAME, "Only in calls of this agent; a fallback is called under its own name."),
        "step": Field(NAME, "Only in calls for this step, with all its samples and items."),
        "attempt": Field(Whole(1, 1_000_000), "Only in this attempt, counted from 1."),
        "probability": Field(_Number(0.0, 1.0), "0 to 1 (1), drawn anew for each call, write or moment."),
        "seconds": Field(
            _Number(-SECONDS_MAX, SECONDS_MAX),
            "slow: how long it takes. late: how long after its timeout. clock_jump: how far, negative for back.",
        ),
    },
    check=_fault_problems,
)
FILE = Record(
    "a faults file",
    {"faults": Field(Many(FAULT, least=1), "What goes wrong; of several that fit, the first.", required=True)},
    check=_count_problems,
)


def faults_file_schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of a faults file, for editors."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Interlock faults file"}
    return {**head, **FILE.schema()}


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that goes wrong, where its conditions hold.

    fault: one of KINDS. agent, step: only in calls of this one; "" for any. A step's name stands for all its samples
    and items. attempt: only in this attempt, or this try of an effect; 0 for any. probability: 0 to 1, drawn anew for
    each call, write or moment. seconds: how long a `slow` call takes and how much after its timeout a `late` one
    answers, how far a `clock_jump` goes (negative: back); None for a choice by chance. Raises FaultsError.
    """

    fault: str
    agent: str = ""
    step: str = ""
    attempt: int = 0
    probability: float = 1.0
    seconds: float | None = None

    def __post_init__(self) -> None:
        default = {field.name: field.default for field in msgspec.structs.fields(self)}
        given = msgspec.structs.asdict(self)
        declared = {key: value for key, value in given.items() if not _same(value, default[key])}
        _raise(FAULT.problems(declared, ()))
        for key, value in given.items():
            # msgspec leaves out a default by identity; and 1 and 1.0 must be declared by the same document.
            plain = float(value) if type(value) is int and key != "attempt" else value
            msgspec.structs.force_setattr(self, key, plain if key in declared else default[key])


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) in {int, float, str} and value == default)


class Injection(msgspec.Struct, frozen=True):
    """A fault that strikes one call, one write, one moment or one try of an effect.

    kind: what goes wrong, never `garbage` but one of its kinds. number: which of the declared faults it is, from 0.
    name: the same whenever the same fault strikes the same thing: number, what is struck, kind. Of a call it is
    `3:run-0/classify/1/0:timeout` (run, step, attempt, reissue).
    """

    kind: str
    fault: Fault
    number: int
    name: str


class _Lot:
    """Faults of which at most one strikes at a time: the first whose own luck it is, all drawn in one go.

    numbers: which of the declared faults. upto: for each of them the draw, from 0 to 1, below which it or one before it
    strikes.
    """

    __slots__ = ("numbers", "upto")

    def __init__(self, faults: Iterable[tuple[int, Fault]]) -> None:
        self.numbers: list[int] = []
        self.upto: list[float] = []
        spared = 1.0
        for number, fault in faults:
            spared *= 1 - fault.probability
            self.numbers.append(number)
            self.upto.append(1 - spared)

    def drawn(self, luck: float) -> int | None:
        """The fault that a draw means; None for none."""
        place = bisect_right(self.upto, luck)
        return self.numbers[place] if place < len(self.numbers) else None


class Faults:
    """Faults that are injected together. Of several that fit a call, a write or a moment, the first strikes.

    suppressed: names of single injections that don't strike; nothing else strikes in their place. allowed: names of the
    only ones that do; None for all. Raises FaultsError.
    """

    __slots__ = (
        "_any_call",
        "_any_write",
        "_calls",
        "_effects",
        "_moments",
        "_narrow",
        "_source",
        "allowed",
        "faults",
        "suppressed",
    )

    def __init__(
        self, faults: Iterable[Fault] = (), *, suppressed: Iterable[str] = (), allowed: Iterable[str] | None = None
    ) -> None:
        self.faults, self.suppressed = tuple(faults), frozenset(suppressed)
        self.allowed = None if allowed is None else frozenset(allowed)
        stray = next((fault for fault in self.faults if not isinstance(fault, Fault)), None)
        if stray is not None:
            raise FaultsError(f"faults hold a {type(stray).__name__}, not a Fault", fix='write Fault(fault="timeout")')
        _raise(_count_problems({"faults": self.faults}, ()))
        self._calls = self._numbered(CALL)
        self._effects = self._numbered(EFFECT)
        self._narrow = any(fault.agent or fault.step or fault.attempt for _, fault in self._calls)
        self._any_call, self._any_write = _Lot(self._calls), _Lot(self._numbered(WRITE))
        self._moments = {kind: _Lot(self._numbered({kind})) for kind in MOMENT}
        self._source: Source | None = None

    @classmethod
    def load(cls, path: str | Path, team: Team | None = None) -> "Faults":
        """The faults of a YAML file. Raises FaultsError with every problem found: file, line, key and the mend.

        team: those that can strike it, as `checked` has them, so that all problems are told at once.
        """
        try:
            source = read(Path(path))
        except TeamError as error:
            raise _as_faults_error(error) from None
        problems = list(FILE.problems(source.data, ()))
        if team is not None:
            told = {problem.place for problem in problems}
            problems += (problem for problem in _misfits(_names_in(source.data), team) if problem.place not in told)
        _raise(problems, source)
        faults = cls(Fault(**declared) for declared in source.data["faults"])
        faults._source = source
        return faults

    @classmethod
    def everything(cls, probability: float = PROBABILITY) -> "Faults":
        """Every kind there is, but `garbage`, which is its eight kinds.

        probability: of each kind of call; a refusal, which no retry mends, has a quarter of it, and so has a kind of
        write, since there are many; a kind of moment has twice as much, and one of effect as much as one of call.
        """
        shares = {**dict.fromkeys(CALL, 1.0), **dict.fromkeys(WRITE, 0.25), **dict.fromkeys(MOMENT, 2.0)}
        del shares["garbage"], shares["refusal"]
        shares["refusal"] = 0.25  # the last one: it came later, and the numbers of the others are in journals
        shares |= dict.fromkeys(EFFECT, 1.0)  # these, too
        return cls(Fault(fault=kind, probability=min(1.0, share * probability)) for kind, share in shares.items())

    @classmethod
    def of_document(cls, data: bytes) -> "Faults":
        """The faults that `document` describes. Raises FaultsError."""
        declared = decode(data)
        names = {key: declared[key] for key in ("suppressed", "allowed") if key in declared}
        return cls((Fault(**fault) for fault in declared["faults"]), **names)

    @property
    def document(self) -> bytes:
        """The declaration as canonical JSON, to be kept in a journal; with what is suppressed or alone allowed."""
        declared: dict[str, Any] = {"faults": self.faults}
        if self.suppressed:
            declared["suppressed"] = sorted(self.suppressed)
        if self.allowed is not None:
            declared["allowed"] = sorted(self.allowed)
        encoded: bytes = encode_canonical(declared)
        return encoded

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Faults) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    @property
    def _parts(self) -> tuple[Any, ...]:
        return self.faults, self.suppressed, self.allowed

    def __repr__(self) -> str:
        return f"<Faults: {', '.join(fault.fault for fault in self.faults) or 'none'}>"

    def without(self, names: Iterable[str]) -> "Faults":
        """The same faults, with these single injections switched off, beside those that already are."""
        return self._with(self.suppressed.union(names), self.allowed)

    def only(self, names: Iterable[str]) -> "Faults":
        """The same faults, with every injection switched off but these."""
        return self._with(self.suppressed, names)

    def _with(self, suppressed: Iterable[str], allowed: Iterable[str] | None) -> "Faults":
        fewer = Faults(self.faults, suppressed=suppressed, allowed=allowed)
        fewer._source = self._source
        return fewer

    def checked(self, team: Team) -> "Faults":
        """The same faults, if each can strike this team. Raises FaultsError for names that it doesn't have, ...

        ... and for an agent that never does the step.
        """
        _raise(_misfits(((fault.agent, fault.step) for fault in self.faults), team), self._source)
        return self

    # --- what strikes ---

    def of_call(
        self, chance: Chance, *, run: str, agent: str, step: str, declared_step: str, attempt: int, reissue: int
    ) -> Injection | None:
        """What strikes this call, if anything does.

        agent: whoever is called, such as a fallback. step: the id, of a copy its own; declared_step: as it stands in
        the plan. attempt: from 1. reissue: how often the call was lost in a crash and made again, from 0.
        """
        lot = self._any_call
        if self._narrow:
            lot = _Lot(
                (number, fault)
                for number, fault in self._calls
                if (not fault.agent or fault.agent == agent)
                and (not fault.step or fault.step in {declared_step, step})
                and (not fault.attempt or fault.attempt == attempt)
            )
        return self._drawn("call", lot, chance, (run, step, attempt, reissue))

    def of_effect(
        self, chance: Chance, *, run: str, step: str, declared_step: str, key: str, number: int
    ) -> Injection | None:
        """What strikes this try of an effect, if anything does. key: of the effect. number: of the try, from 1."""
        if not self._effects:
            return None
        lot = _Lot(
            (place, fault)
            for place, fault in self._effects
            if (not fault.step or fault.step in {declared_step, step}) and fault.attempt in {0, number}
        )
        return self._drawn("performance", lot, chance, (run, step, key, number))

    def of_write(self, chance: Chance, *name: str | int) -> Injection | None:
        """What strikes the write of this name, such as run, process and number of the write."""
        return self._drawn("write", self._any_write, chance, name)

    def of_moment(self, chance: Chance, kind: str, *name: str | int) -> Injection | None:
        """Whether this kind of fault strikes at the moment of this name: as only a run, no process, is cancelled."""
        return self._drawn(kind, self._moments[kind], chance, name)

    def _numbered(self, kinds: Collection[str]) -> tuple[tuple[int, Fault], ...]:
        return tuple((number, fault) for number, fault in enumerate(self.faults) if fault.fault in kinds)

    def _drawn(self, what: str, lot: "_Lot", chance: Chance, name: tuple[str | int, ...]) -> Injection | None:
        number = lot.drawn(chance.share(what, *name)) if lot.numbers else None
        return None if number is None else self._injection(chance, number, name)

    def _injection(self, chance: Chance, number: int, name: tuple[str | int, ...]) -> Injection | None:
        fault = self.faults[number]
        kind = chance.pick(GARBAGE, "garbage", number, *name) if fault.fault == "garbage" else fault.fault
        full_name = f"{number}:{'/'.join(map(str, name))}:{kind}"
        off = full_name in self.suppressed or (self.allowed is not None and full_name not in self.allowed)
        return None if off else Injection(kind, fault, number, full_name)


def seconds_of(injection: Injection, chance: Chance, *, timeout: float = 0.0) -> float:
    """How long a `slow` call takes, how long after its timeout a `late` one answers, how far a `clock_jump` goes.

    timeout: of the call, in seconds. What the fault doesn't say is drawn by the injection's name: 50% to 150% of the
    timeout, up to 50% of it, up to an hour forward or back.
    """
    if injection.fault.seconds is not None:
        return injection.fault.seconds
    share = chance.share("seconds", injection.name)
    if injection.kind == "clock_jump":
        return (2 * share - 1) * CLOCK_JUMP_SECONDS
    return timeout * (0.5 + share) if injection.kind == "slow" else timeout * share / 2


def moment_of(chance: Chance, kind: str, name: str) -> float:
    """How many seconds into its life a process or a run of this name meets this kind of moment: sooner than later."""
    return MOMENT_SECONDS_MAX * chance.share("moment", kind, name) ** 3


# --- what is wrong with them ---


def _raise(problems: Iterable[TeamError], source: Source | None = None) -> None:
    """One FaultsError for all problems, in the order of their lines, if there are any."""
    found = [_as_faults_error(problem, source) for problem in islice(problems, PROBLEMS_MAX)]
    if found:
        raise FaultsError.of(sorted(found, key=lambda problem: problem.line))


def _as_faults_error(problem: TeamError, source: Source | None = None) -> TeamError:
    file, line = (source.file, source.line(problem.place)) if source else (problem.file, problem.line)
    return FaultsError(problem.sentence, fix=problem.fix, place=problem.place, file=file, line=line)


def _names_in(data: Any) -> Iterator[tuple[str, str]]:
    """The agent and the step of each fault in a file that may be wrong in any way; "" for what is no name."""
    faults = data.get("faults") if isinstance(data, Mapping) else None
    for fault in faults if isinstance(faults, list) else ():
        agent, step = (fault.get(key) if isinstance(fault, Mapping) else "" for key in ("agent", "step"))
        yield agent if isinstance(agent, str) else "", step if isinstance(step, str) else ""


def _misfits(names: Iterable[tuple[str, str]], team: Team) -> Iterator[TeamError]:
    """What a team doesn't have of the agents and steps that faults name."""
    for number, (agent, step) in enumerate(names):
        yield from _misfits_of(agent, step, team, ("faults", str(number)))


def _misfits_of(agent: str, step: str, team: Team, place: Place) -> Iterator[TeamError]:
    declared = _declared_step(step, team)
    if agent and agent not in team.agents:
        yield _unknown("agent", agent, [*team.agents], place)
    if step and declared is None:
        yield _unknown("step", step, [declared.id for declared in _steps(team)], place)
    if agent in team.agents and declared is not None:
        performers = (declared.agent, *team.sharing.stand_ins.get(declared.agent, ()))
        if agent not in performers:
            at = (*place, "agent")
            message = f"{dotted(at)}: {agent} never does the step {step}"
            yield TeamError(message, fix=f"name {' or '.join(performers)}, or no agent", place=at)


def _unknown(key: str, name: str, known: list[str], place: Place) -> TeamError:
    at = (*place, key)
    fix = f"its {key}s: {', '.join(known)}" if known else "give the team a plan"
    return TeamError(f"{dotted(at)}: the team has no {key} {name}{hint(name, known)}", fix=fix, place=at)


def _steps(team: Team) -> Sequence[Step]:
    return team.plan.declared if team.plan is not None else ()


def _declared_step(name: str, team: Team) -> Step | None:
    """The declaration of a step, of one of its samples or of one of its items."""
    steps = {step.id: step for step in _steps(team)}
    if name in steps or team.plan is None:
        return steps.get(name)
    if name in team.plan.declared_id:
        return steps[team.plan.declared_id[name]]
    head, _, tail = name.rpartition("-")
    each = steps.get(head)
    return each if each is not None and each.for_each is not None and tail.isdecimal() else None
