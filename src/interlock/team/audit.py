"""The audit: what a person should know about a team before it runs. It never imports the team's code."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from interlock.core.result import Result
from interlock.errors import TeamError

from .borders import borders
from .costs import unpriced
from .findings import CHECKS, AuditFinding, Severity, Subject
from .model import Team

if TYPE_CHECKING:
    from .source import Source

_SEVERITIES = get_args(Severity)


class Audit(msgspec.Struct, frozen=True):
    """What an audit found, errors first."""

    findings: tuple[AuditFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no errors."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain data: `{"ok": ..., "findings": [...]}`."""
        return {"ok": self.ok, "findings": msgspec.to_builtins(self.findings)}


def audit(team: Team | str | Path) -> Audit:
    """Audit a team, or a team file or folder, valid or not. Never raises for what is in the file."""
    subject, problems = _of_team(team) if isinstance(team, Team) else _of_file(Path(team))
    found = [*map(_problem, problems), *(finding for check in (*CHECKS, borders) for finding in check(subject))]
    return Audit(tuple(sorted(found, key=lambda finding: (_SEVERITIES.index(finding.severity), finding.line))))


def _of_team(team: Team) -> tuple[Subject, tuple[TeamError, ...]]:
    unplanned = team.plan is None and not team.plans
    subject = Subject(team.agents, team.plan, unplanned, None, team.line, team.plans, team.planner)
    try:
        subject.result = () if team.result is None else Result.of(team.result).reads
        subject.rules = team.rules if team.plan is not None else None
    except TeamError as error:
        return subject, error.problems
    return subject, () if subject.rules is None else (*unpriced(team.agents, subject.rules),)


def _of_file(path: Path) -> tuple[Subject, tuple[TeamError, ...]]:
    from .load import draft_of  # noqa: PLC0415 - a team of Python pays nothing for the loader

    draft = draft_of(path)
    if draft.team is not None and not draft.problems:
        return _of_team(draft.team)
    data = draft.source.data if draft.source is not None else None
    unplanned = isinstance(data, dict) and data.keys().isdisjoint({"plan", "plans"})
    source = draft.source
    problems = tuple(_told_here(problem, source) for problem in draft.problems)
    line = (lambda place: source.line(source.in_file(place))) if source is not None else (lambda _: 0)
    return Subject(draft.agents, draft.plan, unplanned, None, line), problems


def _told_here(problem: TeamError, source: "Source | None") -> TeamError:
    """What is wrong in the file of a nested team, as a problem of this one: it has that file's place in its words."""
    if source is None or problem.file == source.file:
        return problem
    return type(problem)(problem.message, fix=problem.fix, agents=problem.agents, paths=problem.paths)


def _problem(error: TeamError) -> AuditFinding:
    return AuditFinding(error.code, "error", error.agents, error.paths, error.sentence, error.fix, error.line)
