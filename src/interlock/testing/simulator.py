"""The simulator: a team in virtual time, as a test of it wants it.

    def test_a_slow_triage_is_tried_again(simulator):
        run = simulator.run(REQUEST, faults=[Fault(fault="timeout", agent="triage", attempt=1)])
        assert run.outcomes("classify") == ["timed out", "committed"]

Real code or fakes, one run or thousands of worlds: the engine, the machine and the assessment are always the real ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from interlock.core.naming import hint
from interlock.engine.tasks import refuse_inside_a_loop
from interlock.errors import InputError, TeamError, UsageError
from interlock.team import Team
from interlock.team.registry import code_of, resolve_guardrails

from .fakes import Generated, Scripted
from .injection.faults import Fault, Faults
from .overlap import Schedules, StressReport, overlapping
from .simulated import SimulatedRun, SimulationFailed
from .simulation.account import Broken
from .simulation.campaign import RUNS, Recipe, Report, Scenes, shrink
from .simulation.crashes import CrashReport, explore_crashes
from .simulation.episode import Episode
from .simulation.world import Invariant, Scene, World

Agents = Mapping[str, Any] | Literal["real", "generated"]
FaultsGiven = Faults | Sequence[Fault] | Literal["everything"]

REAL, GENERATED, EVERYTHING = "real", "generated", "everything"


class Simulator:
    """Runs a team in virtual time, with real or fake agents and with faults. Nothing waits and nothing is stored.

    agents: "real" for the team's own code, "generated" for fakes that answer what the team file allows, or a mapping
    from names to one of these two words or a fake: anything that takes a Job. An agent of a nested team is named after
    the agent that the team is: `research.finder`. Who isn't named is what the method says: real in `run`, and generated
    in `seeds`, `stress` and `crashes`, which make thousands of calls. What a method is given for one call of it goes
    before what the simulator was made with.

    Real code is called inside virtual time: async functions may sleep, but find no network, threads or processes; any
    other function is called as it is. So replace an agent that calls a model.

    Raises TeamError for a team that can't be run; UsageError for an agent that the team doesn't have.
    """

    def __init__(self, team: Team, agents: Agents | None = None) -> None:
        resolve_guardrails(team)
        self.team, self.rules = team, team.rules
        self.agents = agents if agents is not None else {}
        self._named(self.agents)
        # What a report of a failing test shows: the transcript of the last run.
        self.last: SimulatedRun | None = None

    def run(
        self,
        request: Mapping[str, Any],
        *,
        agents: Agents | None = None,
        faults: FaultsGiven = (),
        seed: int = 0,
    ) -> SimulatedRun:
        """One run, in which only faults and the agents themselves take time.

        faults: those that shall strike. seed: of their luck, where they have a probability, and of generated replies.

        Raises SimulationFailed where an invariant breaks; InputError, FaultsError, UsageError, and TeamError where
        real code can't be found.
        """
        _outside_of_any_loop()
        scene = self._scene(Recipe(team="", requests=[self._encoded(request)], runs=1), agents, REAL, faults, seed)
        episode = World(msgspec.structs.replace(scene, calm=True), seed).play()
        if episode.broken is not None:
            raise _failed(episode.broken, episode)
        self.last = SimulatedRun.of(episode)
        return self.last

    def seeds(
        self,
        count: int = 100,
        *,
        first: int = 0,
        requests: Sequence[Mapping[str, Any]] | None = None,
        runs: int = RUNS,
        agents: Agents | None = None,
        faults: FaultsGiven = "everything",
        invariants: Sequence[Invariant] = (),
    ) -> Report:
        """Worlds with these seeds, each with several runs at once, and with everything going wrong now and then.

        requests: used in turn; by default they are generated from the team file. runs: how many a world has.
        invariants: functions of an Account and the event that has just become durable; each returns what is wrong, or
        None. They are called after each event, beside the built-in ones.

        Raises SimulationFailed for the first seed that breaks one, made as small as possible; else as `run`.
        """
        _outside_of_any_loop()
        recipe, casts = self._recipe(requests, _at_least_1(runs, "runs")), self._casts(agents, GENERATED)
        _refuse_scripts(casts, "seeds")
        scenes, chosen = Scenes(self.team, recipe), self._faults(faults)
        report = Report()
        for seed in range(first, first + _at_least_1(count, "count")):
            scene = msgspec.structs.replace(
                scenes.of(seed), **self._played(casts), faults=chosen, invariants=invariants
            )
            episode = World(scene, seed).play()
            if episode.broken is not None:
                raise _smallest(scene, episode, episode.broken)
            report.add(episode)
        return report

    def stress(
        self,
        requests: Sequence[Mapping[str, Any]] | None = None,
        *,
        count: int = 50,
        first: int = 0,
        runs: int = RUNS,
        agents: Agents | None = None,
    ) -> StressReport:
        """The same requests and the same replies under `count` schedules, with crashes and calls made twice.

        Wherever the steps come to the same outcomes, each must be shown the same and the same context must come out.
        So this also finds agents that hang on anything besides their job.

        Raises SimulationFailed; else as `run`.
        """
        _outside_of_any_loop()
        casts = self._casts(agents, GENERATED)
        _refuse_scripts(casts, "stress")
        scene = Scenes(self.team, self._recipe(requests, _at_least_1(runs, "runs"))).of(first)
        for team in self.team.teams.values():
            casts[team.hash] = overlapping(casts[team.hash], team.rules, first)
        schedules = Schedules(msgspec.structs.replace(scene, **self._played(casts)))
        if schedules.expected.broken is not None:
            raise _failed(schedules.expected.broken, schedules.expected)
        events = 0
        for seed in range(first, first + _at_least_1(count, "count")):
            episode, difference, run_id = schedules.play(seed)
            if episode.broken is not None:
                raise _failed(episode.broken, episode)
            if difference:
                raise SimulationFailed("schedules", difference, episode, run_id=run_id)
            events += episode.events
        return StressReport(schedules=count, compared=schedules.compared, events=events)

    def crashes(
        self, request: Mapping[str, Any] | None = None, *, agents: Agents | None = None, seed: int = 0
    ) -> CrashReport:
        """Die before and after each write to the journal in turn, resume, and compare with the run that never died.

        request: by default it is generated. Raises SimulationFailed where another end comes out; else as `run`.
        """
        _outside_of_any_loop()
        given = None if request is None else [request]
        scene = self._scene(self._recipe(given, 1), agents, GENERATED, (), seed)
        _refuse_scripts({self.team.hash: scene.agents, **scene.nested}, "crashes")
        try:
            report = explore_crashes(scene, seed)
        except Broken as broken:
            raise _failed(broken, World(scene, seed).play()) from None
        for found in report.differences[:1]:
            message = f"{found.when} number {found.write}: {found.message}"
            raise SimulationFailed("crashes", message, found.episode)
        return report

    # --- what a world is made of ---

    def _scene(self, recipe: Recipe, agents: Agents | None, rest: str, faults: FaultsGiven, seed: int) -> Scene:
        scene = Scenes(self.team, recipe).of(seed)
        played = self._played(self._casts(agents, rest))
        return msgspec.structs.replace(scene, **played, faults=self._faults(faults))

    def _recipe(self, requests: Sequence[Mapping[str, Any]] | None, runs: int) -> Recipe:
        if requests is not None and not requests:
            raise InputError("there are no requests", fix="give some, or None for generated ones")
        return Recipe(team="", requests=[self._encoded(request) for request in requests or ()], runs=runs)

    def _encoded(self, request: Mapping[str, Any]) -> bytes:
        return self.rules.encode_request(request)

    def _faults(self, given: FaultsGiven) -> Faults:
        if isinstance(given, str):
            if given != EVERYTHING:
                fix = 'give a list of Fault(...), or "everything"; Faults.load reads a file'
                raise UsageError(f"faults is {given!r}", fix=fix)
            return Faults.everything()
        return (given if isinstance(given, Faults) else Faults(given)).checked(self.team)

    def _casts(self, given: Agents | None, rest: str) -> dict[str, Any]:
        """Who plays each agent: of the team and of all that are nested in it, by hash."""
        named = self._named(self.agents) | self._named(given or {})
        return {team.hash: self._cast(team, prefix, named, rest) for prefix, team in _nested("", self.team)}

    def _played(self, casts: Mapping[str, Any]) -> dict[str, Any]:
        """The same as a scene is given it."""
        nested = {hash_: cast for hash_, cast in casts.items() if hash_ != self.team.hash}
        return {"agents": casts[self.team.hash], "nested": nested}

    def _cast(self, team: Team, prefix: str, named: Mapping[str, Any], rest: str) -> dict[str, Any]:
        """Who plays each agent of a team. Whoever does no step is never called, so no code of theirs is needed.

        Where an agent decides about the plan, anybody may be.
        """
        performers = {duty.agent for duties in team.rules.duties for duty in duties}
        performers |= team.agents.keys() if team.rules.supervisor is not None else set()
        generated, cast = Generated(team.rules), dict[str, Any]()
        for name in (name for name in team.agents if name not in team.nested):
            choice = named.get(f"{prefix}{name}", rest if name in performers else GENERATED)
            cast[name] = _player(team, name, choice, generated)
        return cast

    def _named(self, agents: Agents) -> dict[str, Any]:
        known = [
            f"{prefix}{name}"
            for prefix, team in _nested("", self.team)
            for name in team.agents
            if name not in team.nested
        ]
        named = dict.fromkeys(known, agents) if isinstance(agents, str) else dict(agents)
        for name, choice in named.items():
            if name not in known:
                fix = f"its agents are {', '.join(known)}"
                raise UsageError(f"the team has no agent {name}{hint(name, known)}", fix=fix)
            if choice not in (REAL, GENERATED) and not callable(choice) and not hasattr(choice, "seeded"):
                fix = 'give a function of the job, a fake, "real" or "generated"'
                raise UsageError(f"agent {name} can't be played by a {type(choice).__name__}", fix=fix)
        return named


def _nested(prefix: str, team: Team) -> Iterator[tuple[str, Team]]:
    """A team and all that are nested in it, each with what stands before the names of its agents."""
    yield prefix, team
    for name, inner in team.nested.items():
        yield from _nested(f"{prefix}{name}.", inner)


def _player(team: Team, name: str, choice: Any, generated: Generated) -> Any:
    if isinstance(choice, str):
        return generated if choice == GENERATED else _code(team, name)
    return choice


def _code(team: Team, name: str) -> Any:
    try:
        return code_of(team.agents[name], team.folder)
    except TeamError as error:
        raise TeamError.of([team.locate(problem) for problem in error.problems]) from error.__cause__


def _outside_of_any_loop() -> None:
    message = "a simulation has an event loop of its own, and one is running here"
    refuse_inside_a_loop(message, fix="call it from a plain function: def test_..., not async def")


def _at_least_1(number: int, name: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UsageError(f"{name} is {number!r}", fix="ask for 1 or more")
    return number


def _refuse_scripts(casts: Mapping[str, Mapping[str, Any]], method: str) -> None:
    for name, player in (played for cast in casts.values() for played in cast.items()):
        if isinstance(player, Scripted):
            fix = "give a function of the job, or leave it generated"
            raise UsageError(f"the script of {name} is for one run, and {method} makes many", fix=fix)


def _failed(broken: Broken, episode: Episode, found: str = "") -> SimulationFailed:
    return SimulationFailed(broken.invariant, broken.message, episode, run_id=broken.run_id, found=found)


def _smallest(scene: Scene, episode: Episode, broken: Broken) -> SimulationFailed:
    failure = shrink(scene, episode.seed)
    if failure is None:
        found = "; in the same world it did not happen again: an agent hangs on something besides its job"
        return _failed(broken, episode, found)
    runs, struck = len(failure.episode.runs), len(failure.episode.struck)
    size = f"{runs} of {failure.runs_before} runs, {struck} of {failure.faults_before} faults"
    return _failed(failure.broken, failure.episode, f", made smaller in {failure.worlds} worlds: {size}")
