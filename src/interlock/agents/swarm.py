"""Agents of OpenAI Swarm, which are not async.

`declared` and `from_swarm` are this end of the pipe; `bound` is the other, which runs in the worker.
"""

from collections.abc import Callable, Mapping
from typing import Any

from interlock.core.job import Job, Reply
from interlock.errors import AgentError, AgentRefused, InterlockError, MissingExtra, describe

from .bound import Blueprint, BoundAdapter
from .clients import forbid_retries
from .extras import check
from .foreign import ForeignAdapter, Meter, Translation
from .prompt import data_of
from .secret import excerpt, hidden
from .setting import Setting

FIX = "pip install openai, and pip install --no-deps openai-swarm, which requires much that it doesn't use"
# Messages of one conversation: what models say, and what tools and handoffs answer.
MESSAGES_MAX = 40
REFUSAL_CHARS_MAX = 500


def from_swarm(
    agent: str | Callable[[], Any],
    *,
    instructions: str = "",
    input: str | Callable[[Job], Any] | None = None,  # noqa: A002 - the word of the team file
    output: str | Callable[[Any, Job], Any] | None = None,
    price: Mapping[str, float] | None = None,
    workers: int | None = None,
) -> BoundAdapter:
    """The adapter of an agent of OpenAI Swarm, with the agents that it may hand off to.

    agent: where it is, as "module:name"; or a function at the top level of a module that makes it, or makes a pair of a
    Swarm and it, for a client of your own. Its functions find what the job shows as their context variables.
    instructions: a template of what it is told beside its own instructions. input: a function of the job that gives the
    conversation so far, a text or messages. output: a function of Swarm's Response and the job that gives the reply.
    price: dollars per million tokens. workers: how many jobs at once, each in a process.

    Raises MissingExtra, TeamError.
    """
    _check()
    blueprint = Blueprint.of(agent, instructions=instructions, input=input, output=output, price=price)
    return BoundAdapter(__name__, blueprint, workers)


def declared(setting: Setting) -> BoundAdapter:
    """The adapter of an agent that a team declares."""
    _check()
    return BoundAdapter(__name__, Blueprint.declared(setting), setting.agent.concurrency)


def _check() -> None:
    try:
        check("swarm", "")
    except MissingExtra as missing:
        raise MissingExtra(missing.message, fix=FIX) from None


# --- in the worker ---


def bound(reference: str, options: Mapping[str, Any], find: Callable[[str], Any]) -> Callable[[Job], Reply]:
    """The function of a job that has this agent do it. Raises InterlockError where there is none.

    options: `instructions`, `price`, and references as `input` and `output`.
    """
    translation = Translation.of(options, find)
    try:
        swarms = _Swarms(find(reference), translation)
    except InterlockError:
        raise
    except Exception as error:  # noqa: BLE001 - the user's function may raise anything, and OpenAI's client wants a key
        raise AgentRefused(hidden(describe(error))) from None
    return ForeignAdapter(swarms, options.get("price")).at_once


class _Swarms:
    """Has one agent answer, with a Swarm and a conversation of its own for each job."""

    def __init__(self, found: Any, translation: Translation) -> None:
        from swarm import Agent, Swarm

        made = found() if not isinstance(found, Agent) and callable(found) else found
        swarm, self._agent = made if isinstance(made, tuple) else (Swarm(), made)
        if not isinstance(self._agent, Agent):
            raise AgentRefused(f"what stands for the agent is a {type(self._agent).__name__}, not an Agent of Swarm")
        self._swarm, self._client, self._translation = Swarm, swarm.client, translation
        forbid_retries(self._client)
        _ = self._client.chat.completions  # imported now and not in the middle of a call

    async def answer(self, job: Job, meter: Meter) -> Any:
        """What the last message says. Nothing else goes on in the worker, so nothing is waited for."""
        given = self._translation.prompt(job).text if self._translation.input is None else self._translation.input(job)
        said = [{"role": "user", "content": given}] if isinstance(given, str) else given
        swarm = self._swarm(client=_Metered(self._client, meter))
        response = swarm.run(self._agent, said, context_variables=data_of(job), max_turns=MESSAGES_MAX)
        return self._translation.answer(response, job, _last_word)

    async def close(self) -> None:
        """The worker ends with all it keeps."""


class _Metered:
    """The part of OpenAI's client that Swarm uses; counts what it is answered, which Swarm drops."""

    def __init__(self, client: Any, meter: Meter) -> None:
        self._client, self._meter = client, meter
        self.chat = self.completions = self

    def create(self, **asked: Any) -> Any:
        """A chat completion. Raises AgentRefused where the model or a filter refuses."""
        completion = self._client.chat.completions.create(**asked)
        usage = completion.usage
        if usage is not None:
            cached = getattr(usage.prompt_tokens_details, "cached_tokens", 0) or 0
            self._meter.add(completion.model, usage.prompt_tokens, usage.completion_tokens, cached=cached)
        choice = completion.choices[0]
        if choice.finish_reason == "content_filter":
            raise AgentRefused("the model refused: what it said was held back by a content filter")
        if choice.message.refusal:
            raise AgentRefused(f"the model refused: {excerpt(choice.message.refusal, REFUSAL_CHARS_MAX)}")
        return completion


def _last_word(response: Any) -> Any:
    last = response.messages[-1]
    if last["role"] != "assistant":
        raise AgentError(f"no end after {MESSAGES_MAX} messages")
    return last["content"]
