"""An agent that is declared by `llm`, beside an agent of pydantic-ai, which stands behind both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai import Agent, NativeOutput, StructuredDict
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage

import interlock as il
from bench.frameworks import ANSWER, MODEL, MODEL_SECONDS, READ, WRITTEN, Call
from interlock.agents.answer import Form
from interlock.agents.llm import Answers, LlmAdapter, LlmAgent, PydanticAiModel
from interlock.agents.llm.providers import Client, Place
from interlock.agents.llm.through_pydantic_ai import ANSWER_NAME
from interlock.agents.prompt import prompt_of


async def sleeps(*_: Any) -> ModelResponse:
    await asyncio.sleep(MODEL_SECONDS)
    usage = RequestUsage(input_tokens=READ, output_tokens=WRITTEN)
    return ModelResponse([TextPart(ANSWER)], usage=usage, finish_reason="stop")


async def nothing() -> None:
    """There is no connection."""


class Here(Place, frozen=True):
    """The place of a model in this process."""

    def client(self, key: str) -> Client:
        return Client(FunctionModel(sleeps, model_name=self.name), nothing, nothing)


@asynccontextmanager
async def calls(job: il.Job) -> AsyncIterator[tuple[Call, Call]]:
    adapter = LlmAdapter(LlmAgent(PydanticAiModel(Here("openai", MODEL), {}), Answers()))
    prompt = prompt_of(job)
    output = NativeOutput(StructuredDict(Form.of(job).schema, name=ANSWER_NAME))
    agent = Agent(Here("", MODEL).client("").model, instructions=prompt.instructions, output_type=output)
    yield lambda: adapter(job), lambda: agent.run(prompt.data)
    await adapter.close()
