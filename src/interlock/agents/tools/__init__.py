"""The tools of LLM agents: Python functions and tools of MCP servers, each bound to an action of the agent's scope.

An adapter makes a Toolbox of what its agent declares and opens it for each job, which gives the Tools. What the agents
of a team share behind them, worker processes and connections to MCP servers, is their Workshop, which whoever makes
the adapters closes.
"""

from .tool import Performing, Tool
from .toolbox import Toolbox
from .workshop import Workshop

__all__ = ["Performing", "Tool", "Toolbox", "Workshop"]
