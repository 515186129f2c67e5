"""The only place that chooses implementations: which journal, which adapter for which agent."""

import inspect
import logging
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from interlock.agents.effects import performers
from interlock.agents.function import FunctionAdapter, ThreadAdapter
from interlock.agents.process import ProcessAdapter, ProcessPool
from interlock.agents.secret import VAULT
from interlock.agents.setting import Setting
from interlock.agents.tools import Workshop
from interlock.core import given
from interlock.core.events import AnyEvent
from interlock.engine.engine import CALLS_MAX, RUNS_MAX, Engine
from interlock.engine.family import Crew
from interlock.engine.notifier import Notifier
from interlock.engine.run import Run
from interlock.engine.tasks import refuse_inside_a_loop, run_main
from interlock.errors import InputError, JournalError, TeamError
from interlock.journal.memory import MemoryJournal
from interlock.ports import Adapter, Journal, Partial
from interlock.team import Agent, Team
from interlock.team.costs import refuse_unpriced
from interlock.team.registry import code_of, find, importable, resolve_guardrails
from interlock.team.tables import AGENT

DEFAULT_JOURNAL = ".interlock/journal.db"

log = logging.getLogger("interlock")


class Orchestrator(Engine):
    """Runs a team; use it as an async context manager.

        async with il.Orchestrator(team, journal="runs.db") as orchestrator:
            run = await orchestrator.run({"ticket": {...}})

    journal: a file, ":memory:", or a Journal. calls_max, runs_max: calls and runs in flight at once. on_event: called
    with (run id, events) whenever events have become durable. on_partial: called with a Partial while an LLM agent
    still writes; nothing of that is committed before it is whole and checked.

    Raises TeamError for a team that can't be run, InputError for an argument that is something else.
    """

    def __init__(
        self,
        team: Team,
        journal: str | Path | Journal = DEFAULT_JOURNAL,
        *,
        calls_max: int = CALLS_MAX,
        runs_max: int = RUNS_MAX,
        on_event: Callable[[str, Sequence[AnyEvent]], None] | None = None,
        on_partial: Callable[[Partial], None] | None = None,
    ) -> None:
        _check(team, journal, calls_max, runs_max)
        workshop = Workshop.of(team)
        callables, effects = adapters(team, workshop), performers(team, workshop)
        notifier = notifier_of(team, journal) if team.notify else None
        resolve_guardrails(team)  # proves its rules: what can't be run must not leave a journal behind
        refuse_unpriced(team)
        crews = [crew_of(inner, journal) for inner in [*team.teams.values()][1:]] if team.nested else []
        stored = open_journal(journal) if isinstance(journal, str | Path) else journal
        observers = [on_event] if on_event is not None else []
        super().__init__(
            team,
            callables,
            stored,
            calls_max=calls_max,
            runs_max=runs_max,
            observers=observers,
            secrets=VAULT,
            hearer=on_partial,
            release=workshop.close,
            performers=effects,
            notifier=notifier,
            nested=crews,
        )


def crew_of(team: Team, journal: str | Path | Journal) -> Crew:
    """What a team that is nested in another is run with. Raises TeamError for one that can't be."""
    workshop = Workshop.of(team)
    resolve_guardrails(team)
    refuse_unpriced(team)
    notifier = notifier_of(team, journal) if team.notify else None
    return Crew(team, adapters(team, workshop), performers(team, workshop), notifier, workshop.close)


def _check(team: object, journal: object, calls_max: int, runs_max: int) -> None:
    """Raise InputError where one of these is something else."""
    if not isinstance(team, Team):
        raise InputError(
            f"the team is of type {type(team).__name__}, not a Team", fix='load it: Team.load("team.yaml")'
        )
    if not isinstance(journal, str | Path) and not hasattr(journal, "put_blob"):
        message = f"the journal is of type {type(journal).__name__}, which is none"
        raise InputError(message, fix='name a file, such as "runs.db", or ":memory:"')
    given.whole("calls_max", calls_max, 1)
    given.whole("runs_max", runs_max, 1)


def notifier_of(team: Team, journal: str | Path | Journal) -> Notifier:
    """What tells the people of a team what waits for them in a journal. Raises TeamError."""
    from interlock.agents.notify import recipients

    named = isinstance(journal, str | Path) and str(journal) != ":memory:"
    flag = f" --journal {shlex.quote(str(Path(str(journal)).resolve()))}" if named else ""
    # A team of Python without a name goes by its declarations, lest it tell what belongs to another such team.
    source = str(team.path or "")
    return Notifier(
        recipients(team),
        {declared.name: declared.on for declared in team.notify},
        team=team.name or source or team.hash,
        shown=team.name or (team.folder.name if team.folder else ""),
        command=lambda words: f"interlock {words}{flag}",
    )


def run(
    team: Team,
    request: Mapping[str, Any],
    *,
    journal: str | Path | Journal = ":memory:",
    approve_plan: bool | str = False,
) -> Run:
    """Run a team for one request, without writing async code. The journal is in memory unless you name one.

    approve_plan: a person must approve the plan first; see Orchestrator.run.

    Raises UsageError where an event loop runs already: there, await Orchestrator.run.
    """
    refuse_inside_a_loop(fix="await Orchestrator(team).run(request)")

    async def main() -> Run:
        async with Orchestrator(_under_its_plan(team, request), journal) as orchestrator:
            return await orchestrator.run(request, approve_plan=approve_plan)

    return run_main(main())


def _under_its_plan(team: Team, request: Mapping[str, Any]) -> Team:
    """The team under that of its plans which a request has."""
    if not isinstance(team, Team) or not team.plans:
        return team
    from interlock.planning import choose

    return choose(team, request).team


def open_journal(name: str | Path) -> Journal:
    """The journal with this name: `:memory:` or a file. Raises JournalError."""
    if str(name) == ":memory:":
        return MemoryJournal()
    if "://" in str(name):
        raise JournalError(f"{name}: this version keeps journals in files only", fix="name a file, such as runs.db")
    # SQLite is a tenth of the time that `import interlock` takes, and not everybody who imports it opens a journal.
    from interlock.journal.sqlite import SqliteJournal

    return SqliteJournal(name)


def adapters(team: Team, workshop: Workshop) -> dict[str, Adapter]:
    """An adapter for each agent of a team that is called. Raises TeamError, naming every agent that can't be.

    workshop: the team's, which they share; whoever made it closes it, after them.
    """
    _refuse_secrets(team)
    made: dict[str, Adapter] = {}
    problems: list[TeamError] = []
    called = {name: agent for name, agent in team.agents.items() if agent.team is None}
    for name, agent in called.items():
        try:
            made[name] = adapter_of(team, agent, workshop)
        except TeamError as error:
            problems += [team.locate(problem) for problem in error.problems]
    if problems:
        raise TeamError.of(problems)
    return made


def _refuse_secrets(team: Team) -> None:
    """The document of a team is kept in the journal."""
    VAULT.refresh()
    if name := VAULT.among(team.document):
        message = f"the team holds the value of {name}, which is secret"
        raise TeamError(message, fix=f"write ${{{name}}} in its place, in headers or env", file=str(team.path or ""))


# Where the adapter of each kind is made, by a function `declared` that takes a Setting; imported when a team needs it.
# The places of its TeamErrors count from what is declared, and it need not say whose that is.
KINDS = {
    "llm": "interlock.agents.llm",
    "langgraph": "interlock.agents.langgraph",
    "crewai": "interlock.agents.crewai",
    "autogen": "interlock.agents.autogen",
    "openai_agents": "interlock.agents.openai_agents",
    "swarm": "interlock.agents.swarm",
    "http": "interlock.agents.http",
    "command": "interlock.agents.command",
}


def adapter_of(team: Team, agent: Agent, workshop: Workshop) -> Adapter:
    """The adapter of one agent. Raises TeamError, and MissingExtra where a part that it needs is not installed."""
    if agent.kind not in KINDS:
        code: Any = code_of(agent, team.folder)
        is_made = isinstance(code, Adapter) and agent.isolation != "process"
        return code if is_made else _adapter(agent, code, workshop.pool)
    declared: Any = getattr(agent, agent.kind)
    if not isinstance(declared, Mapping):
        shape: Any = AGENT.fields[agent.kind].shape
        declared = {shape.key: declared}
    setting = Setting(agent, declared, partial(find, folder=team.folder), team, workshop)
    try:
        adapter: Adapter = import_module(KINDS[agent.kind]).declared(setting)
    except TeamError as error:
        raise TeamError.of([_of(agent, problem) for problem in error.problems]) from error.__cause__
    return adapter


def _of(agent: Agent, problem: TeamError) -> TeamError:
    """A problem with what an agent declares, whose place counts from there, as one of the team."""
    place = ("agents", agent.name, agent.kind, *problem.place)
    return TeamError(f"agent {agent.name}: {problem.sentence}", fix=problem.fix, place=place, agents=(agent.name,))


def _adapter(agent: Agent, function: Callable[..., Any], pool: ProcessPool) -> Adapter:
    place = ("agents", agent.name, "isolation")
    reference = agent.use if isinstance(agent.use, str) else importable(function)
    isolation = agent.isolation or ("task" if is_async(function) else "process" if reference else "thread")
    if isolation == "process":
        if reference is None:
            message = f"agent {agent.name} can't run in a process of its own: no other process can import its function"
            raise TeamError(message, fix="define it at the top level of a module", place=place)
        return ProcessAdapter(pool, reference, agent.concurrency)
    if isolation == "thread":
        log.warning("agent %s runs in a thread: nothing can stop it when it times out", agent.name)
        return ThreadAdapter(function)
    if not is_async(function):
        message = f"agent {agent.name} is no async function, so it can't run as a task"
        raise TeamError(message, fix="write async def, or leave isolation out", place=place)
    return FunctionAdapter(function)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling this gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - asks what kind of callable it is, not whether it is one
