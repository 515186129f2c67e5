"""What the fixtures of the pytest plugin do. They are declared in `_interlock_pytest`, which pytest loads."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from re import sub
from typing import Any, NoReturn

import msgspec
import pytest

from interlock.errors import InterlockError
from interlock.team import Team

from .contract import ContractReport, check_agent
from .pairwise import pairs
from .simulated import SimulatedRun, stable

TEAM_FILE, REQUESTS_FILE, SNAPSHOTS_FOLDER = "team.yaml", "input.jsonl", "__snapshots__"
REQUESTS_MAX = 1_000
NAME_CHARS_MAX = 120

_teams = pytest.StashKey[dict[Path, Team]]()


# --- which team, which requests ---


def team_of(node: pytest.Item) -> Team:
    """The team of a test: of its marker, of the setting, or of the nearest team.yaml. Fails the test without one."""
    marked = _marked(node, "team")
    if isinstance(marked, Team):
        return marked
    if marked is not None and not isinstance(marked, str | Path):
        _fail(f"the interlock marker has a {type(marked).__name__} for a team: give a path or a Team")
    return _loaded(node.config, node.path.parent / marked if marked is not None else _found(node))


def _found(node: pytest.Item) -> Path:
    setting: str = node.config.getini("interlock_team")
    if setting:
        return _root(node.config) / setting
    for folder in node.path.parents:
        if (folder / TEAM_FILE).is_file():
            return folder / TEAM_FILE
        if folder == node.config.rootpath:
            break
    where = f"{node.path.parent} or above it, up to {node.config.rootpath}"
    mend = '@pytest.mark.interlock(team="path"), or interlock_team in the settings of pytest'
    return _fail(f"there is no {TEAM_FILE} in {where}: put the test beside its team, or name it: {mend}")


def _loaded(config: pytest.Config, path: Path) -> Team:
    known = config.stash.setdefault(_teams, {})
    if path not in known:
        try:
            known[path] = Team.load(path)
        except InterlockError as error:
            _fail(str(error))
    return known[path]


def requests_of(node: pytest.Item, team: Team) -> Sequence[Mapping[str, Any]]:
    """The requests of a test: of its marker, of the setting, or of the input.jsonl beside its team file."""
    marked, setting = _marked(node, "requests"), node.config.getini("interlock_requests")
    if marked is not None and not isinstance(marked, str | Path):
        return list(marked)
    if marked is not None:
        return _read(node.path.parent / marked)
    if setting:
        return _read(_root(node.config) / setting)
    usual = team.folder / REQUESTS_FILE if team.folder is not None else None
    return _read(usual) if usual is not None and usual.is_file() else []


def _read(path: Path) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(islice(lines, REQUESTS_MAX), 1):
                if line.strip():
                    found.append(_request(path, number, line))
    except OSError as error:
        _fail(f"the requests {path} can't be read: {error.strerror or error}")
    return found


def _request(path: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        request: dict[str, Any] = msgspec.json.decode(line, type=dict)
    except msgspec.DecodeError as error:
        _fail(f'{path}:{number} is no request: {error}; write one JSON object a line, such as {{"ticket": {{...}}}}')
    return request


def _marked(node: pytest.Item, key: str) -> Any:
    """What the nearest marker that has this key says; None where none has."""
    for marker in node.iter_markers("interlock"):
        if marker.args or not marker.kwargs.keys() <= {"team", "requests"}:
            _fail("the interlock marker takes team=... and requests=..., and nothing else")
        if key in marker.kwargs:
            return marker.kwargs[key]
    return None


def _root(config: pytest.Config) -> Path:
    return config.inipath.parent if config.inipath is not None else config.rootpath


# --- tests that are made for each pair, or for each agent ---


def parametrize(metafunc: pytest.Metafunc, names: Sequence[str]) -> None:
    """One test for each pair of agents, or for each agent.

    Where there is none, one that fails and says why: a test must check something, and the others must be collected.
    """
    makers = {"pair": _pairs, "agent_contract": _agents}
    for name in names:
        try:
            found = list(makers[name](team_of(metafunc.definition)))
        except (InterlockError, pytest.fail.Exception) as error:
            found = [("nothing", str(error))]
        if not found:
            found = [("nothing", "this team has no pairs: no agent reads what another one has written before it")]
        metafunc.parametrize(name, [params for _, params in found], indirect=True, ids=[id_ for id_, _ in found])


def made_for(params: tuple[Any, ...] | str) -> tuple[Any, ...]:
    """What `parametrize` has made a test for. Fails the test where that is nothing, with the sentence that says why."""
    return _fail(params) if isinstance(params, str) else params


def _pairs(team: Team) -> Iterator[tuple[str, tuple[Any, ...] | str]]:
    return ((pair.id, (team, pair.writer, pair.reader)) for pair in pairs(team))


def _agents(team: Team) -> Iterator[tuple[str, tuple[Any, ...] | str]]:
    names = dict.fromkeys(duty.agent for duties in team.rules.duties for duty in duties)
    return ((name, (team, name)) for name in names)


class AgentContract:
    """One agent of a team, to be held against its scope and schema."""

    def __init__(self, team: Team, agent: str) -> None:
        self.team, self.agent = team, agent

    def check(self, **options: Any) -> ContractReport:
        """Call it as `check_agent` does, with its options; fail the test unless every reply was accepted."""
        report = check_agent(self.team, self.agent, **options)
        if not report.ok:
            _fail(str(report))
        return report


# --- snapshots ---


class TranscriptSnapshot:
    """Transcripts kept beside a test, one file for each call."""

    def __init__(self, node: pytest.Item) -> None:
        self._node, self._calls = node, 0

    def __call__(self, run: SimulatedRun | str) -> None:
        """Fail unless this transcript is the kept one; with --interlock-update, keep it."""
        self._calls += 1
        config, path = self._node.config, self._path()
        told = stable(str(run), [str(config.rootpath)]) + "\n"
        if config.getoption("interlock_update"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(told, "utf-8")
            return
        shown = path.relative_to(self._node.path.parent)
        mend = "look at it, and if it is right: pytest --interlock-update"
        if not path.is_file():
            _fail(f"there is no {shown} to compare this transcript with; {mend}\n\n{told}")
        kept = path.read_text("utf-8")
        if kept != told:
            lines = unified_diff(kept.splitlines(), told.splitlines(), str(shown), "this run", lineterm="")
            _fail(f"the transcript is not that of {shown}; {mend}\n\n" + "\n".join(lines))

    def _path(self) -> Path:
        """Named after the test; whatever a file system may dislike is replaced, and a hash tells such names apart."""
        name = self._node.nodeid.partition("::")[2].replace("::", ".")
        plain = sub(r"[^A-Za-z0-9_.\[\]-]", "-", name)[:NAME_CHARS_MAX]
        plain += f"-{blake2b(name.encode(), digest_size=4).hexdigest()}" if plain != name else ""
        plain += f"-{self._calls}" if self._calls > 1 else ""
        return self._node.path.parent / SNAPSHOTS_FOLDER / f"{self._node.path.stem}.{plain}.txt"


def _fail(message: str) -> NoReturn:
    raise pytest.fail.Exception(message, pytrace=False) from None
