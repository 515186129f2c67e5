"""Existing systems of other frameworks: what is wrong with them, and the team file that they come to.

System is what was found: workers, steps, edges, keys; Finding is one thing that is wrong with it. `langgraph` and
`crewai` read the objects of their frameworks, and `source` the functions behind them, without calling any. `flow` tells
what comes before what, `findings` asks what is wrong, `skeleton` writes the team file, whose `ownership` its proofs
need. Importing the module that is named runs it; nothing else does.
"""

from .surveying import Survey, survey
from .system import Finding, System

__all__ = ["Finding", "Survey", "System", "survey"]
