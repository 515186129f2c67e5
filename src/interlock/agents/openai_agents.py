"""Agents of the OpenAI Agents SDK: each job is a run of its own, without a session."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from interlock.core.job import Job
from interlock.errors import AgentRefused, ReplyRefused, TeamError, describe

from .clients import forbid_retries, let_go
from .extras import load
from .foreign import ForeignAdapter, Meter, Translation
from .secret import excerpt, hidden
from .setting import Setting

EXTRA = "openai-agents"
# Calls of a model in one run, those after tools and handoffs included.
TURNS_MAX = 20
VERDICT_CHARS_MAX = 500


def from_openai_agents(
    agent: Any,
    *,
    instructions: str = "",
    input: Callable[[Job], Any] | None = None,  # noqa: A002 - the word of the team file
    output: Callable[[Any, Job], Any] | None = None,
    price: Mapping[str, float] | None = None,
) -> ForeignAdapter:
    """The adapter of an agent of the OpenAI Agents SDK, with the agents that it may hand off to.

    Its tools find the job as their context. instructions: a template of what it is told beside its own instructions.
    input: a function of the job that gives the run's input, a text or a list of items. output: a function of the
    RunResult and the job that gives the reply. price: dollars per million tokens. Raises MissingExtra, TeamError.
    """
    return ForeignAdapter(_Runs(agent, Translation(instructions, input, output)), price)


def declared(setting: Setting) -> ForeignAdapter:
    """The adapter of an agent that a team declares."""
    _sdk()
    return ForeignAdapter(_Runs(setting.target, setting.translation), setting.declared.get("price"))


class _Runs:
    """Runs one agent."""

    def __init__(self, agent: Any, translation: Translation) -> None:
        self._sdk = sdk = _sdk()
        if not isinstance(agent, sdk.Agent):
            what = f"a {type(agent).__name__}, not an Agent of the OpenAI Agents SDK"
            raise TeamError(f"what stands for the agent is {what}", fix="name the object that agents.Agent(...) made")
        self._agent, self._translation = agent, translation
        no_retries = sdk.ModelSettings(retry=sdk.ModelRetrySettings(max_retries=0))
        self._config = sdk.RunConfig(tracing_disabled=True, model_settings=no_retries)
        self._hooks = _hooks(sdk)
        self._models: dict[int, Any] = {}

    async def answer(self, job: Job, meter: Meter) -> Any:
        """What the run ends with: a text, or an object of the agent's output type."""
        context = self._sdk.RunContextWrapper(job)
        bill = _Bill(context, meter, self._models)
        try:
            result = await self._sdk.Runner.run(
                self._agent,
                self._input(job),
                context=context,
                max_turns=TURNS_MAX,
                hooks=self._hooks(bill),
                run_config=self._config,
            )
        except self._sdk.AgentsException as error:
            raise _meant(error, self._sdk) from error
        finally:
            bill.settle()
        return self._translation.answer(result, job, lambda result: result.final_output)

    def _input(self, job: Job) -> Any:
        if self._translation.input is not None:
            return self._translation.input(job)
        kind = self._agent.output_type
        return self._translation.prompt(job, form=kind is None or kind is str).text

    async def close(self) -> None:
        """Close the connections that were kept; the agent stays usable."""
        for client in (*self._models.values(), getattr(self._config.model_provider, "openai_provider", None)):
            await let_go(client)


class _Bill:
    """Puts what a run consumes on the meter, request by request.

    The SDK adds it up in the run's context, also in that of a run that fails or is cancelled, but doesn't say which
    model it was: that is the one that was asked before the sum grew.
    """

    def __init__(self, context: Any, meter: Meter, models: dict[int, Any]) -> None:
        self._usage, self._meter, self._models = context.usage, meter, models
        self._paid = (0, 0, 0, 0)
        self._model = ""

    def asked(self, model: Any) -> None:
        """A model is asked next: a Model or a name."""
        self.settle()
        if not isinstance(model, str) and model is not None:
            forbid_retries(model)
            self._models[id(model)] = model
        self._model = model if isinstance(model, str) else str(getattr(model, "model", ""))

    def settle(self) -> None:
        """Count what was added since the last time."""
        usage = self._usage
        cached = getattr(usage.input_tokens_details, "cached_tokens", 0) or 0
        now = (usage.input_tokens, usage.output_tokens, cached, usage.requests)
        read, written, cached, requests = (total - paid for total, paid in zip(now, self._paid, strict=True))
        self._paid = now
        if requests:
            self._meter.add(self._model, read, written, cached=cached, requests=requests)


def _hooks(sdk: Any) -> Any:
    """A class of the SDK's that tells a bill which model is asked."""

    class Hooks(sdk.RunHooks):  # type: ignore[misc]  # the SDK is skipped by the type checker
        def __init__(self, bill: _Bill) -> None:
            self._bill = bill

        async def on_llm_start(self, context: Any, agent: Any, *_: Any) -> None:
            self._bill.asked(agent.model)

    return Hooks


def _meant(error: Exception, sdk: Any) -> Exception:
    """What an error of the SDK means; itself, where that is for its cause to say."""
    if isinstance(error, sdk.ModelRefusalError):
        return AgentRefused(f"the model refused: {excerpt(error.refusal, VERDICT_CHARS_MAX)}")
    if isinstance(error, sdk.InputGuardrailTripwireTriggered):
        # The same job would trip it again.
        return AgentRefused(f"its guardrail {_verdict(error.guardrail_result)} doesn't let the job in")
    if isinstance(error, sdk.OutputGuardrailTripwireTriggered):
        return ReplyRefused(f"the guardrail {_verdict(error.guardrail_result)} doesn't let the answer out")
    if isinstance(error, sdk.ToolInputGuardrailTripwireTriggered | sdk.ToolOutputGuardrailTripwireTriggered):
        return ReplyRefused(f"the guardrail {_verdict(error)} doesn't allow the call of a tool")
    if isinstance(error, sdk.UserError):
        return AgentRefused(hidden(describe(error)))
    if isinstance(error, sdk.ModelBehaviorError):
        if "reason='content_filter'" in str(error):
            return AgentRefused(hidden(describe(error)))
        return ReplyRefused(hidden(describe(error)))
    return error


def _verdict(result: Any) -> str:
    """The name of a guardrail and what it found."""
    found = getattr(result.output, "output_info", None)
    name = result.guardrail.get_name()
    if found is None:
        return str(name)
    text = found if isinstance(found, str) else msgspec.json.encode(found, enc_hook=repr).decode()
    return hidden(f"{name} ({excerpt(text, VERDICT_CHARS_MAX)})")


def _sdk() -> Any:
    """The SDK. Raises MissingExtra, and TeamError where a module of the team has its name."""
    sdk = load("agents", EXTRA)
    if not hasattr(sdk, "RunConfig"):
        message = "the module agents is not the OpenAI Agents SDK, which can't be imported beside another of its name"
        raise TeamError(message, fix="rename the team's own module agents")
    return sdk
