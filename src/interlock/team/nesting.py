"""Teams within teams: what a team file says of one, and how the file of one is found.

Each file is read once, however many agents it is the team of; a team within itself is refused with the circle.
"""

from collections.abc import Callable, Iterator, Mapping
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from interlock.core.nested import DEPTH_MAX
from interlock.errors import TeamError, cut_short

from .shapes import Place, Text, dotted

if TYPE_CHECKING:
    from .agent import Agent
    from .model import Team

TEAMS_MAX = 100
CIRCLE_CHARS_MAX = 1_000
# What is said of calls: a nested team is not called, it has a run, and its own agents are called.
_OF_CALLS = ("effort", "breaker", "rate", "concurrency", "effects", "version")


class AnyTeam(Protocol):
    """A Team, as far as its part in another is concerned; it is made of agents, and one of them may be such a one."""

    plan: Any
    plans: Any
    name: str

    @property
    def document(self) -> bytes:
        """All that it declares."""

    @property
    def hash(self) -> str:
        """The hash of the document."""

    @property
    def family(self) -> "Family":
        """How many teams there are in it."""


class TeamFile:
    """The path of another team's file, or in Python the team itself."""

    _path = Text("the path of a team file, such as research/team.yaml", keywords={"minLength": 1})

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Neither of them."""
        if not is_team(value):
            yield from self._path.problems(value, place)

    def schema(self) -> dict[str, Any]:
        """A string: a file can name no other."""
        return self._path.schema()


def is_team(value: Any) -> bool:
    """Whether this is a Team."""
    return hasattr(type(value), "document")


def border_problems(agent: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    """What is said of nested teams alone, and what says nothing of them."""
    if "team" not in agent:
        for key in ("inputs", "outputs"):
            if key in agent:
                at = (*place, key)
                message = f"{dotted(at)} says nothing of an agent that is no team"
                yield TeamError(message, fix="remove it, or name a team file with team", place=at)
        return
    for key in _OF_CALLS:
        if key in agent:
            at = (*place, key)
            message = f"{dotted(at)} says nothing of a team: it is said of calls, and its own agents are called"
            yield TeamError(message, fix="say it of the agents in the nested team", place=at)
    budget = agent.get("budget")
    for key in ("day", "call"):
        if isinstance(budget, Mapping) and key in budget:
            at = (*place, "budget", key)
            message = f"{dotted(at)} says nothing of a team: what its run may consume is set aside when it begins"
            yield TeamError(message, fix="remove it, or say it in the nested team", place=at)


def opened(
    name: str, declared: Mapping[str, Any], folder: Path, nesting: "Nesting", load: "Loader"
) -> Mapping[str, Any]:
    """What an agent declares, with the team in the place of its file. Raises TeamError, with the problems in it."""
    file = declared.get("team")
    if not isinstance(file, str):
        return declared
    place = ("agents", name, "team")
    try:
        return {**declared, "team": nesting.team_at(folder, file, load)}
    except TeamError as error:
        if any(problem.line for problem in error.problems):
            raise  # what is wrong in the file itself is told as of there
        raise TeamError(f"{dotted(place)}: {error.message}", fix=error.fix, place=place) from None


class Nesting:
    """The files that are being read, each named in the one before, and the teams that have been."""

    def __init__(self, chain: tuple[Path, ...], known: "dict[Path, Team | TeamError] | None" = None) -> None:
        self._chain, self._known = chain, {} if known is None else known

    def team_at(self, folder: Path, file: str, load: "Loader") -> "Team":
        """The team of a file that is named in this folder. Raises TeamError, each time for one that can't be loaded."""
        try:
            key = (folder / file).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # links that lead in a circle, or a NUL in the name
            raise TeamError(f"{file!r:.100} names no file: {error!s:.200}", fix="name a team file") from None
        if key not in self._known:
            inner = self._within(key)
            try:
                self._known[key] = load(folder / file, inner)
            except TeamError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, TeamError):
            raise found
        return found

    def _within(self, path: Path) -> "Nesting":
        """The same, inside a file. Raises TeamError for one that is being read already, and for too many."""
        if path in self._chain:
            circle = " > ".join(map(self._shown, (*self._chain[self._chain.index(path) :], path)))
            message = f"a team can't be nested in itself: {cut_short(circle, CIRCLE_CHARS_MAX)}"
            raise TeamError(message, fix="take it out of one of them")
        if len(self._chain) > DEPTH_MAX or len(self._known) >= TEAMS_MAX:
            raise _too_many(deep=len(self._chain) > DEPTH_MAX)
        return Nesting((*self._chain, path), self._known)

    def _shown(self, path: Path) -> str:
        return relpath(path, self._chain[0].parent)


Loader = Callable[[Path, Nesting], "Team"]


class Family(msgspec.Struct, frozen=True):
    """How many teams there are in one, with itself, and how deep they are nested in each other."""

    teams: int
    depth: int

    @classmethod
    def of(cls, agents: "Mapping[str, Agent]") -> "Family":
        """The family of the team with these agents. Raises TeamError for one that is too large or too deep."""
        inner = {name: agent.team.family for name, agent in agents.items() if agent.team is not None}
        teams = 1 + sum(family.teams for family in inner.values())
        depth = max((1 + family.depth for family in inner.values()), default=0)
        if teams > TEAMS_MAX or depth > DEPTH_MAX:
            raise _too_many(deep=depth > DEPTH_MAX, place=("agents", next(iter(inner)), "team"))
        return cls(teams, depth)


def _too_many(*, deep: bool, place: Place = ()) -> TeamError:
    said = f"{DEPTH_MAX} teams are nested in each other" if deep else f"{TEAMS_MAX} teams are nested here"
    return TeamError(f"more than {said}, counted as often as they are named", fix="make it fewer", place=place)
