"""An agent of OpenAI Swarm. It isn't async: the adapter has it work in another process, its users in a thread."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from swarm import Agent, Swarm

import interlock as il
from bench.frameworks import ANSWER, MODEL, MODEL_SECONDS, READ, WRITTEN, Call
from interlock.agents.foreign import Translation
from interlock.agents.prompt import data_of
from interlock.agents.swarm import from_swarm


class Sleeps:
    """The part of OpenAI's client that Swarm uses."""

    def __init__(self) -> None:
        self.chat = self.completions = self

    def create(self, **asked: Any) -> ChatCompletion:
        time.sleep(MODEL_SECONDS)
        said = ChatCompletionMessage(role="assistant", content=ANSWER)
        usage = CompletionUsage(prompt_tokens=READ, completion_tokens=WRITTEN, total_tokens=READ + WRITTEN)
        choices = [Choice(index=0, finish_reason="stop", message=said)]
        return ChatCompletion(id="1", created=0, object="chat.completion", model=MODEL, choices=choices, usage=usage)


def clerk() -> tuple[Swarm, Agent]:
    return Swarm(Sleeps()), Agent(name="clerk", instructions="You sort tickets.", model=MODEL)


@asynccontextmanager
async def calls(job: il.Job) -> AsyncIterator[tuple[Call, Call]]:
    adapter = from_swarm(clerk, workers=1)
    swarm, agent = clerk()
    said = [{"role": "user", "content": Translation().prompt(job).text}]
    yield lambda: adapter(job), lambda: asyncio.to_thread(swarm.run, agent, said, context_variables=data_of(job))
    await adapter.close()
