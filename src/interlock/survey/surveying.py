"""Finds what is named, has it read, and says what is wrong with it."""

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from interlock.agents.crew import ENVIRONMENT
from interlock.agents.extras import check
from interlock.agents.secret import hidden
from interlock.core.naming import hint
from interlock.errors import InputError, InterlockError, TeamError, describe
from interlock.team import find

from .findings import CHECKS
from .flow import Flow
from .skeleton import Skeleton
from .system import SEVERITIES, Finding, System

KINDS = {"langgraph": "langgraph", "crewai": "crewai"}


class Survey(msgspec.Struct, frozen=True):
    """What was found: the system, what is wrong with it, errors first, and a team file to begin with."""

    system: System
    findings: tuple[Finding, ...]
    skeleton: str

    @property
    def ok(self) -> bool:
        """Whether there are no errors."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain data: `{"ok", "source", "findings": [...], "skeleton"}`."""
        return {
            "ok": self.ok,
            "source": f"{self.system.kind}:{self.system.reference}",
            "findings": msgspec.to_builtins(self.findings),
            "skeleton": self.skeleton,
        }


def survey(named: str, folder: Path) -> Survey:
    """Survey what `langgraph:module:graph` or `crewai:module:crew` names; the folder is on the import path.

    Its module is imported, and so runs; where it names a function, that is called to make the graph or crew. Raises
    MissingExtra, InputError, and TeamError where the import fails.
    """
    kind, _, reference = named.partition(":")
    if kind not in KINDS or not reference:
        fix = "write langgraph:module:graph or crewai:module:crew"
        raise InputError(f"{named} doesn't name a system{hint(kind, KINDS)}", fix=fix)
    check(KINDS[kind], kind)
    with _quiet():
        system = _of_langgraph(reference, folder) if kind == "langgraph" else _of_crewai(reference, folder)
    return surveyed(system)


def surveyed(system: System) -> Survey:
    """What is to be said of a system, and its team file."""
    flow = Flow(system)
    found = [*system.findings, *(finding for check in CHECKS for finding in check(system, flow))]
    ordered = sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
    return Survey(system, tuple(ordered), Skeleton(system, flow, ordered).text())


def _of_langgraph(reference: str, folder: Path) -> System:
    from langgraph.graph import StateGraph
    from langgraph.pregel import Pregel

    from .langgraph import system_of

    found = _found(reference, folder)
    made = found
    if not isinstance(found, Pregel | StateGraph) and callable(found) and not hasattr(found, "invoke"):
        made = _made(found, reference)
    module = sys.modules.get(reference.partition(":")[0])
    system = system_of(made, reference, folder.resolve(), vars(module) if module is not None else {})
    return msgspec.structs.replace(system, whole=isinstance(found, Pregel))


def _of_crewai(reference: str, folder: Path) -> System:
    with _apart():
        from crewai import Crew

        from .crewai import system_of

        found = _found(reference, folder)
        crew = _made(found, reference) if not isinstance(found, Crew) and callable(found) else found
        if not isinstance(crew, Crew) and callable(getattr(crew, "crew", None)):  # of a class with @CrewBase
            crew = _made(crew.crew, f"{reference}().crew")
        if not isinstance(crew, Crew):
            fix = "name a crew, a function without arguments that makes one, or a class with @CrewBase"
            raise InputError(f"{reference} is no crew: {type(crew).__name__}", fix=fix)
        system = system_of(crew, reference)
        return msgspec.structs.replace(system, whole=inspect.isfunction(found))


def _found(reference: str, folder: Path) -> Any:
    try:
        return find(reference, folder)
    except TeamError as error:
        raise InputError(hidden(error.sentence), fix=error.fix) from None


def _made(make: Callable[[], Any], reference: str) -> Any:
    """What a function without arguments makes. Raises InputError where it fails."""
    try:
        inspect.signature(make).bind()
    except (TypeError, ValueError):
        fix = "name what it makes, or a function that takes nothing"
        raise InputError(f"{reference} can't be called without arguments", fix=fix) from None
    try:
        made = make()
    except InterlockError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's function may raise anything
        raise InputError(hidden(f"{reference} fails: {describe(error)}"), fix="mend it there") from None
    if inspect.iscoroutine(made):
        made.close()
        raise InputError(f"{reference} is async", fix="name what it makes, or a function that isn't")
    return made


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Whatever a user's module prints goes to standard error: standard output is for what was found."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """CrewAI without telemetry and questions, and with a folder of its own that is removed."""
    before = dict(os.environ)
    with TemporaryDirectory(prefix="interlock-survey-") as storage:
        os.environ.update(ENVIRONMENT, CREWAI_STORAGE_DIR=storage)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
