"""An agent of another framework, as the engine calls it: what every adapter of a framework shares.

Each framework has a module of its own with a Foreigner: it turns a job into the framework's call, and counts what that
consumes. All else is here: when the call begins, what its answer means, and how its errors are told.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import msgspec

from interlock.core.assess import MODEL_CHARS_MAX, TOKENS_MAX
from interlock.core.job import Job, Reply, Usage
from interlock.errors import AgentError, ReplyRefused, TeamError
from interlock.ports import Began, unheard
from interlock.prices import dollars

from .answer import Form, reply_of
from .failure import classified
from .prompt import Prompt, prompt_of
from .secret import excerpt


class Meter:
    """Counts what one call consumes, up to its end or its failure."""

    def __init__(self, prices: Mapping[str, float] | None = None) -> None:
        self._prices = prices
        self._input = self._output = self._cached = self._requests = 0
        self._model = ""
        self._usd: float | None = 0.0

    def add(self, model: Any, input_tokens: Any, output_tokens: Any, *, cached: Any = 0, requests: int = 1) -> None:
        """Count one or more requests to a model, as a framework or a server tells of them: anything at all.

        cached: how many of the input tokens came out of a cache. Where it isn't told what a request used, its price
        isn't known.
        """
        given, made = _count(input_tokens), _count(output_tokens)
        kept = min(_count(cached), given)
        self._input += given
        self._output += made
        self._cached += kept
        self._requests += requests
        self._model = _named(model) if isinstance(model, str) and model.isprintable() else ""
        is_told = (given, made) == (input_tokens, output_tokens) != (0, 0)
        usd = dollars(self._model, given, made, kept, self._prices) if is_told else None
        self._usd = None if usd is None or self._usd is None else self._usd + usd

    @property
    def usage(self) -> Usage | None:
        """What was counted; None where nothing was."""
        if not self._requests:
            return None
        return Usage(self._input, self._output, self._usd, self._cached, self._requests, self._model)


def _count(tokens: Any) -> int:
    return tokens if type(tokens) is int and 0 < tokens <= TOKENS_MAX else 0


def _named(model: str) -> str:
    """The name of a model. A usage that holds a secret is refused, but what is left of a cut one isn't found in it."""
    return model if len(model) <= MODEL_CHARS_MAX else excerpt(model, MODEL_CHARS_MAX)


class Foreigner(Protocol):
    """One agent of a framework."""

    async def answer(self, job: Job, meter: Meter) -> Any:
        """The framework's answer to a job, as it is; what it raises is classified. Counts on the meter as it goes."""

    async def close(self) -> None:
        """Give up whatever is kept between calls."""


class ForeignAdapter:
    """The adapter in front of a Foreigner. It can be called like a function of the job, too."""

    slots: int | None = None

    def __init__(self, foreigner: Foreigner, prices: Mapping[str, float] | None = None) -> None:
        self._foreigner, self._prices = foreigner, prices

    async def __call__(self, job: Job) -> Reply:
        """The agent's reply, outside of an engine."""
        return await self.call(job, unheard)

    async def call(self, job: Job, began: Began) -> Reply:
        """The agent's reply. Raises AgentError, classified, and ReplyRefused for an answer that is no reply.

        A cancellation has for its cause an AgentError, with what was consumed until then.
        """
        meter = Meter(self._prices)
        began()
        try:
            answer = await self._foreigner.answer(job, meter)
        except ReplyRefused as refused:
            usage = meter.usage if refused.usage is None else refused.usage
            raise ReplyRefused(refused.message, usage=usage, said=refused.said) from None
        except asyncio.CancelledError as cancelled:
            raise cancelled from AgentError("it was cancelled", usage=meter.usage)
        except Exception as error:  # noqa: BLE001 - frameworks raise anything; classified, it goes on
            raise classified(error, meter.usage) from None
        return reply_of(answer, job, meter.usage)

    def at_once(self, job: Job) -> Reply:
        """The reply of a Foreigner that never waits. It may run an event loop: it isn't called in one."""
        try:
            self(job).send(None)
        except StopIteration as done:
            reply: Reply = done.value
            return reply
        raise AssertionError(f"{type(self._foreigner).__name__} waits")

    async def close(self) -> None:
        """Close what is behind it."""
        await self._foreigner.close()


class ProbedForeigner(Foreigner, Protocol):
    """One that can be looked at without giving it a job."""

    async def probe(self) -> str:
        """What it is, where it is ready to work. Raises AgentError where it isn't."""


class ProbedAdapter(ForeignAdapter):
    """The adapter in front of such a Foreigner."""

    def __init__(self, foreigner: ProbedForeigner) -> None:
        super().__init__(foreigner)
        self._probe = foreigner.probe

    async def probe(self) -> str:
        """What is behind it, where that is ready to work. Raises AgentError."""
        return await self._probe()


class Translation(msgspec.Struct, frozen=True):
    """How a job becomes a framework's input, and its result an answer, where that isn't the usual way.

    instructions: a template of the prompt. input: makes the input from a job; output: the answer from a result and its
    job.
    """

    instructions: str = ""
    input: Callable[[Job], Any] | None = None
    output: Callable[[Any, Job], Any] | None = None

    @classmethod
    def of(cls, declared: Mapping[str, Any], find: Callable[[str], Any]) -> Self:
        """The one that is declared. find: gives the function that a text names. Raises TeamError for what is none."""
        functions = {key: find(declared[key]) for key in ("input", "output") if key in declared}
        for key, function in functions.items():
            if not callable(function):
                raise TeamError(f"{key} names a {type(function).__name__}, not a function", place=(key,))
        return cls(declared.get("instructions", ""), **functions)

    def prompt(self, job: Job, *, form: bool = True) -> Prompt:
        """The prompt for a job. form: with that of the answer in words, for agents that aren't given it otherwise."""
        return prompt_of(job, self.instructions, form=Form.of(job) if form else None)

    def answer(self, result: Any, job: Job, usual: Callable[[Any], Any]) -> Any:
        """The answer in a result; `usual` finds it where no output is given."""
        return self.output(result, job) if self.output is not None else usual(result)
