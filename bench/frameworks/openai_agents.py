"""An agent of the OpenAI Agents SDK, which sends no traces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

import interlock as il
from bench.frameworks import ANSWER, MODEL, MODEL_SECONDS, READ, WRITTEN, Call
from interlock.agents.foreign import Translation
from interlock.agents.openai_agents import from_openai_agents


class Sleeps(Model):
    model = MODEL

    async def get_response(self, *given: Any, **named: Any) -> ModelResponse:
        await asyncio.sleep(MODEL_SECONDS)
        text = ResponseOutputText(text=ANSWER, type="output_text", annotations=[])
        said = ResponseOutputMessage(id="1", content=[text], role="assistant", status="completed", type="message")
        usage = Usage(requests=1, input_tokens=READ, output_tokens=WRITTEN, total_tokens=READ + WRITTEN)
        return ModelResponse(output=[said], usage=usage, response_id=None)

    def stream_response(self, *given: Any, **named: Any) -> Any:
        raise NotImplementedError


@asynccontextmanager
async def calls(job: il.Job) -> AsyncIterator[tuple[Call, Call]]:
    agent = Agent("clerk", instructions="You sort tickets.", model=Sleeps())
    adapter = from_openai_agents(agent)
    told, config = Translation().prompt(job).text, RunConfig(tracing_disabled=True)
    yield lambda: adapter(job), lambda: Runner.run(agent, told, run_config=config)
    await adapter.close()
