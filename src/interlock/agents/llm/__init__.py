"""Agents that are a model with a prompt, declared in the team file under `llm`.

`Conversation` (agent) asks a `Model` (model), lets it call tools (`ToolCalls`), and has `Answers` read what it said.
Models are asked through pydantic-ai, which one module alone knows; `Place` (providers) says where a model is, and
`local` runs a small one in this process.
"""

from interlock.agents.setting import Setting
from interlock.errors import TeamError

from . import local
from .agent import LlmAdapter, LlmAgent, Toolbox
from .answer import Answers
from .providers import Place
from .through_pydantic_ai import PydanticAiModel

__all__ = ["LlmAdapter", "LlmAgent", "declared"]

LOCAL = "local:"


def declared(setting: Setting) -> LlmAdapter:
    """The adapter of an agent that is declared by `llm`. Raises TeamError, and MissingExtra."""
    keys = setting.declared
    agent = LlmAgent(
        PydanticAiModel(_place(setting), {key: keys[key] for key in ("temperature", "max_tokens") if key in keys}),
        Answers.declared(setting),
        _instructions(setting),
        _toolbox(setting) if "tools" in keys else None,
    )
    if keys["model"].startswith(LOCAL):
        return LlmAdapter(agent, keys.get("price", local.PRICES), slots=local.CALLS_MAX)
    return LlmAdapter(agent, keys.get("price"))


def _place(setting: Setting) -> Place:
    """Where the model is; all that it needs is loaded here, since that takes too long for the middle of a run."""
    keys = setting.declared
    place = Place.of(keys["model"], keys.get("base_url", ""), keys.get("key", ""))
    if place.provider == "local":
        try:
            local.weights(place.name)
        except TeamError as error:
            raise TeamError(error.sentence, fix=error.fix, place=("model",)) from None
    place.load()
    return place


def _instructions(setting: Setting) -> str:
    if "instructions_file" in setting.declared:  # the loader of team files puts its text in its place
        message = "an instructions_file lies beside a team file, and there is none"
        raise TeamError(message, fix="read it, and give its text as instructions", place=("instructions_file",))
    text: str = setting.declared.get("instructions", "")
    return text


def _toolbox(setting: Setting) -> Toolbox:
    from interlock.agents.tools import Toolbox as Declared

    made: Toolbox = Declared.of(setting)
    return made
