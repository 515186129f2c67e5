"""What the audit looks for at the border of a nested team: fields that never reach it, or never leave it."""

from collections.abc import Iterator

from interlock.core.proofs import deciding

from .agent import Agent
from .findings import AuditFinding, Subject, apart
from .model import Team


def borders(subject: Subject) -> Iterator[AuditFinding]:
    """Does each nested team get what it reads, and can what is taken out of it be there?"""
    for agent in subject.agents.values():
        if isinstance(agent.team, Team):
            yield from _unfed(subject, agent, agent.team)
            yield from _unwritten(subject, agent, agent.team)


def _unfed(subject: Subject, agent: Agent, team: Team) -> Iterator[AuditFinding]:
    written = _written(team)
    fed = agent.scope.readable if agent.inputs is None else tuple(agent.inputs)
    lacking = tuple(sorted({*apart(_read(team), [*written, *fed])}))
    if lacking:
        message = (
            f"the team nested in {agent.name} reads {', '.join(lacking)}, which nobody there writes and no input is"
        )
        fix = "add it to the inputs" if agent.inputs is not None else "add it to the context_access"
        line = subject.line(("agents", agent.name, "inputs"))
        yield AuditFinding("unfed_input", "warning", (agent.name,), lacking, message, fix, line)


def _unwritten(subject: Subject, agent: Agent, team: Team) -> Iterator[AuditFinding]:
    written, line = _written(team), subject.line(("agents", agent.name, "outputs"))
    if agent.outputs is None:
        permitted = tuple(agent.scope.write_permissions)
        if permitted and len([*apart(permitted, written)]) == len(permitted):
            message = f"the team nested in {agent.name} writes nothing that {agent.name} may write: nothing comes out"
            fix = "declare outputs, or let both write the same paths"
            yield AuditFinding("unwritten_output", "warning", (agent.name,), permitted, message, fix, line)
        return
    given = agent.scope.readable if agent.inputs is None else tuple(agent.inputs)
    never = tuple(sorted({*apart(agent.outputs.values(), [*written, *given])}))
    if never:
        message = f"{', '.join(never)} is to come out of the team nested in {agent.name}, and nobody there writes it"
        fix = f"it writes {', '.join(written) or 'nothing'}"
        yield AuditFinding("unwritten_output", "warning", (agent.name,), never, message, fix, line)


def _steps(team: Team) -> list[str]:
    return [] if team.plan is None else [path for step in team.plan.declared for path in deciding(step)]


def _read(team: Team) -> set[str]:
    """What the agents of a team may read, and its plan hangs on; not what they only may read everything by."""
    patterns = {pattern for agent in team.agents.values() for pattern in agent.scope.context_access}
    return (patterns - {"*"}) | {*_steps(team)}


def _written(team: Team) -> list[str]:
    """All that somebody in a team may write."""
    waits = [step for step in (team.plan.declared if team.plan else ()) if step.waits]
    patterns = [pattern for agent in team.agents.values() for pattern in agent.scope.write_permissions]
    return [*patterns, *(pattern for step in waits for pattern in step.writes or ())]
