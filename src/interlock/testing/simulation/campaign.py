"""Many seeds: worlds one after another, or in several processes, and what they came to.

A world that breaks an invariant is made smaller first: fewer runs, fewer faults, no delays, as long as the same
invariant breaks.
"""

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from importlib import import_module
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from types import FrameType
from typing import Any, Protocol

import msgspec

from interlock.core.naming import hint
from interlock.errors import InputError, SimulationError, describe
from interlock.planning import under
from interlock.team import Team, resolve_all
from interlock.team.registry import resolve_guardrails
from interlock.testing.chance import Chance
from interlock.testing.fakes import Generated
from interlock.testing.generation.replies import RequestMaker
from interlock.testing.injection.faults import Faults

from .account import Broken
from .episode import Episode
from .world import Invariant, Scene, World

RUNS = 3
SEEDS_PER_TASK = 25
REQUEST_TRIES = 20
# Agents' texts may make every reason another one.
REASONS_MAX = 1_000
REASON_CHARS_MAX = 200
GC_THRESHOLD = 1_000_000
SHRINK_WORLDS_MAX = 300


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How to make the scene of each seed: plain data, so that other processes can be told.

    team: a team file or its folder. agents: `generated` (fakes that answer what the declarations allow) or `real` (the
    agents' own code, called in virtual time). requests: JSON, used in turn; without any, they are generated. runs: how
    many runs a world has. invariants: "module:function", beside the built-in ones. sqlite: each world's journal is a
    real SQLite file, and not in memory. plan: of a team that has several, the name of the one that all runs have.
    """

    team: str
    agents: str = "generated"
    requests: Sequence[bytes] = ()
    runs: int = RUNS
    faults: bytes = Faults().document
    invariants: Sequence[str] = ()
    sqlite: bool = False
    plan: str = ""

    def scenes(self) -> "Scenes":
        """Load the team. Raises TeamError, InputError."""
        return Scenes(under(Team.load(self.team), self.plan), self)


class Scenes:
    """The scene of each seed."""

    def __init__(self, team: Team, recipe: Recipe) -> None:
        resolve_guardrails(team)
        self._recipe, self._rules = recipe, team.rules
        agents = self._cast(team, recipe)
        nested = {inner.hash: self._cast(inner, recipe) for inner in [*team.teams.values()][1:]}
        self._make = None if recipe.requests else RequestMaker(team.rules)
        invariants = [named_invariant(name) for name in recipe.invariants]
        faults = Faults.of_document(recipe.faults).checked(team)
        self._scene = Scene(
            team=team,
            agents=agents,
            nested=nested,
            requests=(),
            faults=faults,
            invariants=invariants,
            sqlite=recipe.sqlite,
        )

    @staticmethod
    def _cast(team: Team, recipe: Recipe) -> dict[str, Any]:
        """The code of each agent."""
        if recipe.agents == "real":
            return dict(resolve_all(team))
        return dict.fromkeys(team.agents, Generated(team.rules))

    def of(self, seed: int) -> Scene:
        """The scene of a seed."""
        return msgspec.structs.replace(self._scene, requests=[*self._requests(seed)])

    def _requests(self, seed: int) -> Iterator[bytes]:
        given, runs = self._recipe.requests, self._recipe.runs
        for number in range(runs):
            if self._make is None:
                yield given[(seed * runs + number) % len(given)]
            else:
                yield self._made(seed, number)

    def _made(self, seed: int, number: int) -> bytes:
        assert self._make is not None
        why = ""
        for attempt in range(REQUEST_TRIES):
            try:
                return self._rules.encode_request(self._make(Chance(seed).stream("request", number, attempt)))
            except InputError as error:
                why = error.message
        message = f"no request could be made up for seed {seed}: {why}"
        raise InputError(message, fix="give some with --input")


def named_invariant(name: str) -> Invariant:
    """The function behind "module:function". Raises InputError."""
    module_name, _, function_name = name.partition(":")
    try:
        module = import_module(module_name)
    except Exception as error:
        message = f"the invariant {name} can't be imported: {describe(error)}"
        raise InputError(message, fix="name it module:function, on the import path") from error
    found: Any = getattr(module, function_name, None)
    if not callable(found):
        near = hint(function_name, vars(module))
        message = f"the module {module_name} has no function {function_name or '(none is named)'}{near}"
        raise InputError(message, fix="name it module:function")
    return found  # type: ignore[no-any-return]


class FaultTally(msgspec.Struct):
    """What became of one kind of fault: how often it struck, and how those calls and the runs they were of ended."""

    struck: int = 0
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)
    runs: Counter[str] = msgspec.field(default_factory=Counter)


class Reason(msgspec.Struct):
    """Why runs ended as they did: how many, and the first seed of them."""

    runs: int
    seed: int


class Report(msgspec.Struct):
    """What some seeds came to.

    events: how many became durable; folded: how many machines folded, live, at resumes and in replays. reasons: of runs
    that did not succeed, by status and sentence. broken: seed -> what broke in its world.
    """

    seeds: int = 0
    events: int = 0
    folded: int = 0
    simulated_us: int = 0
    statuses: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: dict[tuple[str, str], Reason] = {}
    faults: dict[str, FaultTally] = {}
    broken: dict[int, Broken] = {}

    def add(self, episode: Episode) -> None:
        """Count one world in."""
        self.seeds += 1
        self.events += episode.events
        self.folded += episode.folded
        self.simulated_us += round(episode.seconds * 1e6)
        self.statuses.update(episode.statuses)
        for status, sentence in episode.reasons:
            self._count((status, sentence[:REASON_CHARS_MAX]), 1, episode.seed)
        for struck in episode.struck:
            tally = self.faults.setdefault(struck.kind, FaultTally())
            tally.struck += 1
            tally.outcomes.update([struck.outcome] if struck.outcome else ())
            tally.runs.update(struck.runs)
        if episode.broken is not None:
            self.broken[episode.seed] = episode.broken

    def merge(self, other: "Report") -> None:
        """Count another report in."""
        self.seeds += other.seeds
        self.events += other.events
        self.folded += other.folded
        self.simulated_us += other.simulated_us
        self.statuses.update(other.statuses)
        for key, reason in other.reasons.items():
            self._count(key, reason.runs, reason.seed)
        for kind, tally in other.faults.items():
            mine = self.faults.setdefault(kind, FaultTally())
            mine.struck += tally.struck
            mine.outcomes.update(tally.outcomes)
            mine.runs.update(tally.runs)
        self.broken |= other.broken

    def _count(self, key: tuple[str, str], runs: int, seed: int) -> None:
        known = self.reasons.get(key)
        if known is not None:
            known.runs += runs
            known.seed = min(known.seed, seed)
        elif len(self.reasons) < REASONS_MAX:
            self.reasons[key] = Reason(runs, seed)

    @property
    def seconds(self) -> float:
        """How much time was simulated."""
        return self.simulated_us / 1e6

    @property
    def first_broken(self) -> int | None:
        """The lowest seed that broke something."""
        return min(self.broken, default=None)


class SceneOf(Protocol):
    """Whatever has a scene for each seed."""

    def of(self, seed: int) -> Scene:
        """The scene of a seed."""


def play(
    scenes: SceneOf, seeds: Sequence[int], around: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Report:
    """Play these seeds, up to the first that breaks something. around: is entered for each world."""
    report = Report()
    for seed in seeds:
        with around():
            report.add(World(scenes.of(seed), seed).play())
        if report.broken:
            break
    return report


# --- several processes ---

_scenes: Scenes | None = None


def _begin(recipe: Recipe) -> None:
    global _scenes  # noqa: PLW0603 - what a worker process keeps between its tasks
    Thread(target=_die_with_parent, daemon=True).start()
    _scenes = recipe.scenes()
    # Worlds are short-lived circles: each is collected when it is over, and what was loaded never.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _die_with_parent() -> None:
    """A worker waits for work for ever: it would not notice that whoever hands it out was killed."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _task(first: int, count: int) -> Report:
    assert _scenes is not None
    report = play(_scenes, range(first, first + count), _collected)
    gc.collect()
    return report


@contextmanager
def _collected() -> Iterator[None]:
    """Collect a world at its end: the next one uses memory that the processor has at hand still."""
    yield
    gc.collect(0)


def campaign(
    recipe: Recipe,
    seeds: range,
    *,
    workers: int = 1,
    progress: Callable[[Report], None] = lambda _report: None,
    report: Report | None = None,
) -> Report:
    """Play all seeds, or as many as it takes to find the lowest that breaks something.

    workers: how many processes; 1 is this one. progress: is told after each share of the work. report: where to count,
    so that whoever interrupts this knows how far it came. Raises SimulationError where a process of it dies.
    """
    chunks = [seeds[at : at + SEEDS_PER_TASK] for at in range(0, len(seeds), SEEDS_PER_TASK)]
    report = Report() if report is None else report
    with closing(_parts(recipe, chunks, workers)) as parts:
        for part in parts:
            report.merge(part)
            progress(report)
            if report.broken:
                break
    return report


def _parts(recipe: Recipe, chunks: Sequence[range], workers: int) -> Generator[Report]:
    """The reports of all chunks, in their order, so that the first broken seed is the lowest."""
    scenes = recipe.scenes()
    if workers == 1:
        for chunk in chunks:
            yield play(scenes, chunk, _interrupts_held)
        return
    others = active_children()
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(recipe,))
    waiting: list[Future[Report]] = []
    try:
        for chunk in chunks:
            waiting.append(_submitted(pool, chunk))
            if len(waiting) > 2 * workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
    except BrokenProcessPool as error:
        raise SimulationError("a process of the simulation died", fix="try --workers 1, which shows why") from error
    finally:
        for process in active_children():  # nobody waits any more for what they are at
            if process not in others:
                process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, chunk: range) -> Future[Report]:
    """Hand out a chunk. Processes that are started for it never see a Ctrl-C: it is for the process that asked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_task, chunk[0], len(chunk))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until a world is over: inside, it would be taken for an error of whichever agent is called.

    Just that helps where an agent hangs: the second is raised inside, too.
    """
    presses: list[int] = []

    def pressed(number: int, _frame: FrameType | None) -> None:
        presses.append(number)
        if len(presses) > 1:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, pressed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if presses:
            raise KeyboardInterrupt


# --- making a failure small ---


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that broke an invariant, and the smallest world found in which it still does."""

    seed: int
    broken: Broken
    episode: Episode
    worlds: int
    runs_before: int
    faults_before: int


def shrink(scene: Scene, seed: int) -> Failure | None:
    """Make a broken world small; None where the world of this seed breaks nothing."""
    first = World(scene, seed).play()
    if first.broken is None:
        return None
    best, small, worlds = first, scene, 1

    def attempt(candidate: Scene) -> bool:
        nonlocal best, small, worlds
        if worlds >= SHRINK_WORLDS_MAX:
            return False
        worlds += 1
        episode = World(candidate, seed).play()
        if episode.broken is None or episode.broken.invariant != first.broken.invariant:  # type: ignore[union-attr]
            return False
        best, small = episode, candidate
        return True

    replace = msgspec.structs.replace
    if not attempt(replace(small, calm=True)):
        attempt(replace(small, people=False))
    before = None
    while before is not small:
        before = small
        for row in list(small.labels):
            if len(small.labels) > 1:
                attempt(replace(small, rows=[other for other in small.labels if other != row]))
        names = list(dict.fromkeys(struck.name for struck in best.struck))
        size = len(names)
        while size:
            for at in range(0, len(names), size):
                fewer = [name for n, name in enumerate(names) if not at <= n < at + size]
                if attempt(replace(small, faults=small.faults.only(fewer))):
                    names = fewer
                    break
            else:
                size //= 2
    return Failure(
        seed=seed,
        broken=best.broken or first.broken,
        episode=best,
        worlds=worlds,
        runs_before=len(scene.labels),
        faults_before=len(first.struck),
    )
