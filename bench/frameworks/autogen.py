"""An assistant of AutoGen, which remembers what it was told: each call has one of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_core import EVENT_LOGGER_NAME
from autogen_core.logging import LLMCallEvent
from autogen_core.models import CreateResult, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient

import interlock as il
from bench.frameworks import ANSWER, MODEL, MODEL_SECONDS, READ, WRITTEN, Call
from interlock.agents.autogen import from_autogen
from interlock.agents.foreign import Translation

TOLD = {"model": MODEL, "choices": [{"finish_reason": "stop", "message": {"content": ANSWER, "refusal": None}}]}
events = logging.getLogger(EVENT_LOGGER_NAME)


class Sleeps(ReplayChatCompletionClient):
    """Tells what it was asked and what it has consumed, as AutoGen's clients do."""

    async def create(self, messages: Any, **named: Any) -> CreateResult:
        await asyncio.sleep(MODEL_SECONDS)
        asked = [{"role": "user", "content": message.content} for message in messages]
        events.info(LLMCallEvent(messages=asked, response=TOLD, prompt_tokens=READ, completion_tokens=WRITTEN))
        return CreateResult(content=ANSWER, finish_reason="stop", usage=RequestUsage(READ, WRITTEN), cached=False)


@asynccontextmanager
async def calls(job: il.Job) -> AsyncIterator[tuple[Call, Call]]:
    model = Sleeps([])

    def clerk() -> AssistantAgent:
        return AssistantAgent("clerk", model, system_message="You sort tickets.")

    adapter = from_autogen(clerk)
    task = Translation().prompt(job).text
    yield lambda: adapter(job), lambda: clerk().run(task=task)
    await adapter.close()
