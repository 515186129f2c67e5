"""A crew of CrewAI, a new one for each call: the adapter has it work in another process, its users in a thread."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from tempfile import TemporaryDirectory
from typing import Any

import interlock as il
from bench.frameworks import ANSWER, MODEL, MODEL_SECONDS, READ, WRITTEN, Call
from interlock.agents.crew import ENVIRONMENT, inputs_of
from interlock.agents.crewai import from_crewai
from interlock.agents.foreign import Translation

os.environ.update(ENVIRONMENT)  # read when it is imported
logging.root.addHandler(logging.NullHandler())  # it would say at each call that it has to guess at tokens

from crewai import Agent, BaseLLM, Crew, Task  # noqa: E402
from crewai.events.types.llm_events import LLMCallType  # noqa: E402
from crewai.llms.base_llm import llm_call_context  # noqa: E402


class Sleeps(BaseLLM):
    """Tells that it is asked and what it has consumed, as CrewAI's LLMs do."""

    def call(self, messages: Any, *given: Any, from_task: Any = None, from_agent: Any = None, **named: Any) -> str:
        whose = {"from_task": from_task, "from_agent": from_agent}
        with llm_call_context():
            self._emit_call_started_event(messages=messages, **whose)
            time.sleep(MODEL_SECONDS)
            self._track_token_usage_internal({"prompt_tokens": READ, "completion_tokens": WRITTEN})
            self._emit_call_completed_event(response=ANSWER, call_type=LLMCallType.LLM_CALL, messages=messages, **whose)
        return ANSWER


def crew() -> Crew:
    clerk = Agent(role="clerk", goal="sort tickets", backstory="", llm=Sleeps(model=MODEL))
    return Crew(agents=[clerk], tasks=[Task(description="{task}", expected_output="JSON", agent=clerk)])


@asynccontextmanager
async def calls(job: il.Job) -> AsyncIterator[tuple[Call, Call]]:
    adapter = from_crewai(crew, workers=1)
    inputs = inputs_of(job, Translation().prompt(job))
    with TemporaryDirectory() as storage:
        os.environ["CREWAI_STORAGE_DIR"] = storage
        yield lambda: adapter(job), lambda: asyncio.to_thread(lambda: crew().kickoff(inputs=inputs))
        await adapter.close()
