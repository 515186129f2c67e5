"""Crews for the tests of their adapter: modules of factories, and workers that stay warm from test to test."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

from interlock.agents.process import ProcessAdapter, ProcessPool
from interlock.agents.wire import Binding

# Makes crews of one clerk. A ticket is given to the model whole, however long it is: nothing is summed up before.
HEAD = """
from crewai import LLM, Agent, Crew, Task

def make_llm(model={model!r}):
    return LLM(model="openai/" + model, base_url={url!r}, max_retries=0, stream={stream})

def crew_of(llm, description="{{task}}", **given):
    clerk = Agent(role="clerk", goal="sort tickets", backstory="", llm=llm, respect_context_window=False)
    return Crew(agents=[clerk], tasks=[Task(description=description, expected_output="JSON", agent=clerk, **given)])
"""
CLERK = "def make_crew(): return crew_of(make_llm())"


class WarmCrews:
    """Workers that have imported CrewAI, in a loop that outlives the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runner = folder, asyncio.Runner()
        self.storage = folder / "storage"
        self.storage.mkdir()
        binding = Binding("interlock.agents.crew", {"storage": str(self.storage)})
        self.pool = ProcessPool(str(folder), idle_max=2, binding=binding)
        self._numbers = itertools.count()

    def clerk(self, server: Any, model: str, *, stream: bool = False) -> ProcessAdapter:
        """The adapter that the contract asks for."""
        return self.adapter(CLERK, server, model, stream=stream)

    def adapter(self, source: str, server: Any, model: str = "normal", *, stream: bool = False) -> ProcessAdapter:
        """An adapter of the crews that a module makes, by its `make_crew`."""
        module = f"crews_{next(self._numbers)}"
        head = HEAD.format(model=model, url=server.url, stream=stream)
        (self.folder / f"{module}.py").write_text(f"{head}\n{source}\n")
        return ProcessAdapter(self.pool, f"{module}:make_crew")

    async def all_warm(self) -> None:
        """Replace the workers that a test has killed, so that they aren't taken for what the next one leaves behind."""
        (self.folder / "crews_of_none.py").write_text("def make_crew(): return None")
        leases = (self.pool.lease("crews_of_none:make_crew") for _ in range(self.pool.idle_max))
        for worker in await asyncio.gather(*leases):
            self.pool.give_back(worker)

    def run(self, work: Any) -> Any:
        """Run a coroutine in their loop."""
        return self.runner.run(work)

    def close(self) -> None:
        """End the workers."""
        self.runner.run(self.pool.close())
        self.runner.close()
