"""What pytest finds of Interlock: its fixtures, options and hooks. What they do is in `interlock.testing.plugin`.

It lies beside the package, not in it: every start of pytest in an environment with Interlock imports this file, and
`import interlock` would cost each of them the engine. So everything else is imported when a test asks for it.
"""

import sys
from collections.abc import Generator, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from interlock import Team
    from interlock.testing.pairwise import Pair
    from interlock.testing.plugin import AgentContract, TranscriptSnapshot
    from interlock.testing.simulator import Simulator

MARKER = (
    "interlock(team, requests): the team of a test and the requests for its pairs: paths, from the folder of the test "
    "file, or a Team and a list"
)


class _AsInstalled:
    """Finds the modules of Interlock as Python itself does, before pytest does.

    pytest rewrites the assertions of whatever is distributed together with a plugin. Those of Interlock state what must
    be true of its own code and are no part of anybody's tests; and compiling a hundred modules anew takes longer than
    most tests of a team.
    """

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """Where a module of Interlock is; whatever else is asked for, others know."""
        return PathFinder.find_spec(name, path) if name.partition(".")[0] == "interlock" else None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any file of the user's is imported."""
    finder = _AsInstalled()
    sys.meta_path.insert(0, finder)

    def leave() -> None:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)

    early_config.add_cleanup(leave)


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option and two settings, none of which is needed."""
    update = "write the transcripts that transcript_snapshot compares with"
    parser.getgroup("interlock").addoption("--interlock-update", action="store_true", help=update)
    parser.addini("interlock_team", "The team file of tests without a team.yaml beside or above them.", default="")
    parser.addini("interlock_requests", "JSON lines: the requests that pairs start from.", default="")


def pytest_configure(config: pytest.Config) -> None:
    """The marker, so that --strict-markers knows it."""
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each pair of agents, or for each agent, where a test asks for `pair` or `agent_contract`."""
    names = [name for name in ("pair", "agent_contract") if _is_ours(metafunc, name)]
    if names:
        from interlock.testing.plugin import parametrize  # noqa: PLC0415 - see above

        parametrize(metafunc, names)


def _is_ours(metafunc: pytest.Metafunc, name: str) -> bool:
    """Whether a name stands for the fixture below, and not for one of the user's or for a parameter."""
    definitions = getattr(metafunc, "_arg2fixturedefs", {}).get(name, ())  # pytest has no public way to ask
    return name in metafunc.fixturenames and bool(definitions) and definitions[-1].func.__module__ == __name__


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A transcript instead of a stack where it tells all, and beside the stack where a test made a run and failed."""
    report = yield
    if report.failed and call.excinfo is not None:
        if getattr(call.excinfo.value, "interlock_tells_all", False) is True:
            report.longrepr = _told(item, call.excinfo)
        run = getattr(getattr(item, "funcargs", {}).get("simulator"), "last", None)
        if run is not None:
            report.sections.append(("the last simulated run", str(run)))
    return report


def _told(item: pytest.Item, error: pytest.ExceptionInfo[BaseException]) -> Any:
    """The text of an error, and the line of the test that it came through."""
    told = error.getrepr(style="value")
    lines = [entry.lineno + 1 for entry in error.traceback if str(entry.path) == str(item.path)]
    told.addsection(f"{item.location[0]}:{lines[-1]}" if lines else item.location[0], "")
    return told


@pytest.fixture
def team(request: pytest.FixtureRequest) -> "Team":
    """The team of the `team.yaml` beside the test file, or in the nearest folder above it up to the root of the tests.

    @pytest.mark.interlock(team=...) or the setting `interlock_team` names another one.
    """
    from interlock.testing.plugin import team_of  # noqa: PLC0415 - see above

    return team_of(request.node)


@pytest.fixture
def team_requests(request: pytest.FixtureRequest, team: "Team") -> Sequence[Mapping[str, Any]]:
    """The requests of the `input.jsonl` beside the team file; none, where there is none.

    @pytest.mark.interlock(requests=...) or the setting `interlock_requests` names others.
    """
    from interlock.testing.plugin import requests_of  # noqa: PLC0415 - see above

    return requests_of(request.node, team)


@pytest.fixture
def fake_agents(team: "Team") -> dict[str, Any]:
    """A fake for each agent, by name, which answers what the team file allows; put others in their place.

    The simulator of a test that asks for it calls no real code.
    """
    from interlock.testing.fakes import Generated  # noqa: PLC0415 - see above

    return dict.fromkeys(team.agents, Generated(team.rules))


@pytest.fixture
def simulator(request: pytest.FixtureRequest, team: "Team") -> "Simulator":
    """The team in virtual time: `run`, `seeds`, `stress` and `crashes`."""
    from interlock.testing.simulator import Simulator  # noqa: PLC0415 - see above

    return Simulator(team, request.getfixturevalue("fake_agents") if "fake_agents" in request.fixturenames else None)


@pytest.fixture
def pair(request: pytest.FixtureRequest, team_requests: Sequence[Mapping[str, Any]]) -> "Pair":
    """Two agents of which one reads what the other has written; the test runs once for each such pair of the team."""
    from interlock.testing.pairwise import Pair  # noqa: PLC0415 - see above
    from interlock.testing.plugin import made_for  # noqa: PLC0415

    found, writer, reader = made_for(request.param)
    return Pair(found, writer, reader, team_requests)


@pytest.fixture
def agent_contract(request: pytest.FixtureRequest) -> "AgentContract":
    """One agent and what it must keep to; the test runs once for each agent that does a step."""
    from interlock.testing.plugin import AgentContract, made_for  # noqa: PLC0415 - see above

    return AgentContract(*made_for(request.param))


@pytest.fixture
def transcript_snapshot(request: pytest.FixtureRequest) -> "TranscriptSnapshot":
    """Call it with a run: its transcript must be the one in the folder `__snapshots__` beside the test file."""
    from interlock.testing.plugin import TranscriptSnapshot  # noqa: PLC0415 - see above

    return TranscriptSnapshot(request.node)
