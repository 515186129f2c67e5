"""The audit: what a person should know about a team before it runs. It never imports the team's code."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from interlock.core.plan import Plan
from interlock.core.rules import Rules
from interlock.errors import TeamError

from .agent import Agent
from .model import Team
from .shapes import Place

Severity = Literal["error", "warning", "info"]
_SEVERITIES = ("error", "warning", "info")


class Finding(msgspec.Struct, frozen=True):
    """One thing that the audit found. code is stable; line is that of the team file, 0 for a team of Python."""

    code: str
    severity: Severity
    agents: tuple[str, ...]
    paths: tuple[str, ...]
    message: str
    fix: str = ""
    line: int = 0


class Audit(msgspec.Struct, frozen=True):
    """What an audit found, errors first."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no errors."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain data: `{"ok": ..., "findings": [...]}`."""
        return {"ok": self.ok, "findings": msgspec.to_builtins(self.findings)}


class Subject(msgspec.Struct):
    """What is audited: as much of a team as could be made of it.

    unplanned: it declares no plan, where `plan` may also be missing because it is broken. rules: there only if all was
    proved. line: the line of a place, 0 where it is unknown.
    """

    agents: dict[str, Agent]
    plan: Plan | None
    unplanned: bool
    rules: Rules | None
    line: Callable[[Place], int]


def audit(team: Team | str | Path) -> Audit:
    """Audit a team, or a team file or folder, valid or not. Never raises for what is in the file."""
    from .findings import CHECKS  # noqa: PLC0415 - only an audit pays for them

    subject, problems = _of_team(team) if isinstance(team, Team) else _of_file(Path(team))
    found = [*map(_problem, problems), *(finding for check in CHECKS for finding in check(subject))]
    return Audit(tuple(sorted(found, key=lambda finding: (_SEVERITIES.index(finding.severity), finding.line))))


def _of_team(team: Team) -> tuple[Subject, tuple[TeamError, ...]]:
    subject = Subject(team.agents, team.plan, team.plan is None, None, team.line)
    try:
        subject.rules = team.rules if team.plan is not None else None
    except TeamError as error:
        return subject, error.problems
    return subject, ()


def _of_file(path: Path) -> tuple[Subject, tuple[TeamError, ...]]:
    from .load import draft_of  # noqa: PLC0415 - a team of Python pays nothing for the loader

    draft = draft_of(path)
    if draft.team is not None and not draft.problems:
        return _of_team(draft.team)
    unplanned = draft.source is not None and isinstance(draft.source.data, dict) and "plan" not in draft.source.data
    source = draft.source
    line = (lambda place: source.line(source.in_file(place))) if source is not None else (lambda _: 0)
    return Subject(draft.agents, draft.plan, unplanned, None, line), tuple(draft.problems)


def _problem(error: TeamError) -> Finding:
    return Finding(error.code, "error", error.agents, error.paths, error.sentence, error.fix, error.line)
