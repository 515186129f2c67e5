"""One module a framework: the same agent, called through Interlock's adapter and by the framework itself.

`calls(job)` is entered for both, in this order: each answers the job when it is called, is told the same, and takes
MODEL_SECONDS for its model. A framework is imported at the top of its module; one that isn't installed is left out.
"""

from collections.abc import Awaitable, Callable
from typing import Any

Call = Callable[[], Awaitable[Any]]

MODEL_SECONDS = 0.02
MODEL = "gpt-5-mini"
ANSWER = '{"category": "cards", "priority": "high"}'
# What the model tells of its tokens.
READ, WRITTEN = 500, 20

# To measure another one, add its module and its name.
FRAMEWORKS = ("langgraph", "llm", "autogen", "openai_agents", "swarm", "crewai", "http", "command")
