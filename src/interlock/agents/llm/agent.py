"""An LLM agent: a prompt, a model, the tools it may call, and what it answers."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from interlock import ports
from interlock.agents.answer import SAID_CHARS_MAX
from interlock.agents.foreign import ForeignAdapter, Meter
from interlock.agents.prompt import Prompt, prompt_of
from interlock.agents.secret import excerpt
from interlock.agents.tools import Tool
from interlock.core.job import Job, Reply
from interlock.errors import AgentRefused, ReplyRefused
from interlock.ports import Began, unheard

from .answer import Answers
from .model import Exchange, Model, Request, Said, SchemaNotTaken, Tokens
from .toolcalls import ToolCalls

REASON_CHARS_MAX = 500
_UNTOLD = Tokens(0, 0, 0)


class Toolbox(Protocol):
    """The tools that an agent declares."""

    async def open(self, job: Job) -> list[Tool]:
        """The tools for one job; what has to be connected first is connected. Raises AgentError."""


class LlmAgent(msgspec.Struct, frozen=True):
    """What is declared of one. instructions: a template over the view."""

    model: Model
    answers: Answers
    instructions: str = ""
    toolbox: Toolbox | None = None


class LlmAdapter:
    """The adapter in front of an LLM agent. It can be called like a function of the job, too.

    prices: of its tokens, as Meter takes them. slots: how many calls it can take at once.
    """

    def __init__(self, agent: LlmAgent, prices: Mapping[str, float] | None = None, *, slots: int | None = None) -> None:
        self._agent, self._prices, self.slots = agent, prices, slots

    async def __call__(self, job: Job) -> Reply:
        """The agent's reply, outside of an engine."""
        return await self.call(job, unheard)

    async def call(self, job: Job, began: Began) -> Reply:
        """The agent's reply. What has to be started first is no work of the agent: it begins after that."""
        agent = self._agent
        await agent.model.ready()
        tools = await agent.toolbox.open(job) if agent.toolbox is not None else []
        return await ForeignAdapter(Conversation(agent, tools, job), self._prices).call(job, began)

    async def close(self) -> None:
        """Close the model's connections."""
        await self._agent.model.close()


class Conversation:
    """The exchange with a model about one job."""

    def __init__(self, agent: LlmAgent, tools: list[Tool], job: Job | None = None) -> None:
        self._agent, self._tools = agent, ToolCalls(tools, job)
        self._exchanges: tuple[Exchange, ...] = ()

    async def answer(self, job: Job, meter: Meter) -> Reply:
        """The reply, after as many rounds of tools as it takes."""
        while True:
            said, held = await self._said(job)
            tokens = said.tokens or _UNTOLD
            meter.add(said.model, tokens.input, tokens.output, cached=tokens.cached)
            _refuse_unusable(said)
            if not said.calls:
                break
            self._exchanges += (Exchange(said, await self._tools.answered(said.calls)),)
        reply = self._agent.answers.reply(said.text, job, held=held)
        return msgspec.structs.replace(reply, output={"tools": self._tools.made}) if self._tools.made else reply

    async def close(self) -> None:
        """Nothing is kept."""

    async def _said(self, job: Job) -> tuple[Said, bool]:
        """One request: with the JSON Schema of the answer, or, where the server takes none, with the same in words.

        Says whether the model was held to the schema.
        """
        agent, hear = self._agent, ports.listener()
        form = agent.answers.form(job)
        if agent.model.takes_schema and form.fields and not form.open:
            with suppress(SchemaNotTaken):
                return await agent.model.ask(self._request(prompt_of(job, agent.instructions), form.schema), hear), True
        return await agent.model.ask(self._request(prompt_of(job, agent.instructions, form=form), None), hear), False

    def _request(self, prompt: Prompt, schema: Mapping[str, Any] | None) -> Request:
        return Request(prompt.instructions, prompt.data, schema, self._tools.offers, self._exchanges)


def _refuse_unusable(said: Said) -> None:
    if said.finish == "refused":
        reason = excerpt(said.text, REASON_CHARS_MAX)
        raise AgentRefused(f"the model refuses to answer: {reason or 'it gave no reason'}")
    if said.finish == "cut":
        message = "the answer was cut off: it has more tokens than max_tokens, or the model, allows; answer in fewer"
        raise ReplyRefused(message, said=excerpt(said.text, SAID_CHARS_MAX))
