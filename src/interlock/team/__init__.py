"""What the user declares: a Team of Agents with their scopes, and a plan; from Python or from `team.yaml`.

Loading proves what can be proved before a run, and names every mistake with file, line and mend. The registry finds the
code behind `use`; the Audit says what a person should know about a team, valid or not.
"""

from .agent import Agent, agent
from .audit import Audit, audit
from .document import changes, difference
from .findings import AuditFinding
from .model import Team
from .registry import code_of, find, importable, resolve, resolve_all
from .schema import team_file_schema

__all__ = [
    "Agent",
    "Audit",
    "AuditFinding",
    "Team",
    "agent",
    "audit",
    "changes",
    "code_of",
    "difference",
    "find",
    "importable",
    "resolve",
    "resolve_all",
    "team_file_schema",
]
