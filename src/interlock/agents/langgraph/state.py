"""What a job puts into a graph's state, and where the answer lies in a state or result."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable
from langgraph.pregel import Pregel

from interlock.agents.answer import Form
from interlock.agents.foreign import Translation
from interlock.agents.prompt import data_of
from interlock.agents.secret import excerpt
from interlock.core import paths
from interlock.core.assess import CHOICES_MAX, FINDING_CHARS_MAX, QUESTION_CHARS_MAX
from interlock.core.job import Job, Question, Reply
from interlock.core.values import ABSENT
from interlock.errors import AgentRefused, ReplyRefused

from .tally import refusal_of

MESSAGES, INTERRUPTS, STRUCTURED = "messages", "__interrupt__", "structured_response"
RAW = {"raw", "parsed", "parsing_error"}
OF_THE_JOB = ("action", "feedback", "instructions")


def input_keys(runnable: Any) -> list[str] | None:
    """The keys that a runnable takes as its input; None where it takes messages and nothing else."""
    if isinstance(runnable, Pregel):
        builder = getattr(runnable, "builder", None)
        if builder is not None:
            keys = [key for key in builder.schemas[builder.input_schema] if key not in builder.managed]
            return None if keys == ["__root__"] else keys
        channels = runnable.input_channels
        return None if isinstance(channels, str) else list(channels)
    first: Any = getattr(runnable, "first", runnable)
    variables = getattr(first, "input_variables", None)
    return None if variables is None or not isinstance(first, Runnable) else list(variables)


# --- into it ---


def input_of(job: Job, translation: Translation, keys: list[str] | None) -> Any:
    """The input with these keys: messages under `messages`, and the part of the view that each other key names.

    Raises AgentRefused where the view has nothing of it.
    """
    if keys is None:
        return _messages(job, translation)
    given: dict[str, Any] = {MESSAGES: _messages(job, translation)} if MESSAGES in keys else {}
    tree = data_of(job)
    for key in keys:
        if key != MESSAGES and (found := _found(key, tree, job)) is not ABSENT:
            given[key] = found
    if keys and not given:
        message = f"the graph takes {', '.join(keys)}, and the view has nothing of that name"
        raise AgentRefused(message, fix="widen the agent's context_access, or make its input by an input function")
    return given


def _found(key: str, tree: Mapping[str, Any], job: Job) -> Any:
    """What the job or the view has under a name; ABSENT where that is nothing. Raises AgentRefused for two of them.

    What tells the agent what to do is the job's: the view holds what others wrote.
    """
    if key in OF_THE_JOB:
        return list(job.feedback) if key == "feedback" else getattr(job, key)
    places = [(key,)] if key in tree else [place for place in _places(tree) if place[-1] == key]
    if len(places) > 1:
        told = " and ".join(paths.join(place) for place in places[:2])
        raise AgentRefused(f"the graph takes {key}, and the view has {told}", fix="say which by an input function")
    return _at(tree, places[0]) if places else ABSENT


def _messages(job: Job, translation: Translation) -> list[Any]:
    prompt = translation.prompt(job)
    return [SystemMessage(prompt.instructions), HumanMessage(prompt.data)]


def _places(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of all values in a tree, branches included, those further up first."""
    for key in tree:
        yield (*above, key)
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _places(value, (*above, key))


def _at(tree: Any, place: Sequence[str]) -> Any:
    for key in place:
        tree = tree[key]
    return tree


# --- out of it ---


def answer_in(result: Any, given: Any, job: Job) -> Any:
    """The answer in what a runnable returned to an input. Raises AgentRefused for a refusal."""
    if isinstance(result, BaseMessage):
        return _text(result)
    if isinstance(result, list) and result and isinstance(result[-1], BaseMessage):
        return _text(result[-1])
    if not isinstance(result, Mapping):
        return result
    if set(result) == RAW:
        return _parsed(result)
    if result.get(STRUCTURED) is not None:
        return result[STRUCTURED]
    messages: Any = result.get(MESSAGES)
    talked = isinstance(messages, list) and len(messages) > 0
    if talked and len(result) == 1:
        return _text(messages[-1])
    form, put_in = Form.of(job), given if isinstance(given, Mapping) else {}
    said = {key: value for key, value in result.items() if form.knows(key) and value is not None}
    if not talked:
        return {**(_others(result, put_in, job) if form.open else {}), **said}
    # A field that is both read and written stands in the state from the beginning: that is no answer.
    is_answer = said.keys() >= {*form.schema["required"]} and any(said[key] != put_in.get(key) for key in said)
    return said if is_answer else _text(messages[-1])


def _others(result: Mapping[str, Any], put_in: Mapping[str, Any], job: Job) -> dict[str, Any]:
    """What the graph wrote under names of its own, where the job leaves them open."""
    new = {key: value for key, value in result.items() if value is not None and value != put_in.get(key)}
    for key, value in list(new.items()):
        if isinstance(value, dict) and f"{key}.*" in job.writes:  # all below it may be written, not the whole of it
            del new[key]
            new |= {paths.join((key, inner)): part for inner, part in value.items() if isinstance(inner, str)}
    return new


def _parsed(result: Mapping[str, Any]) -> Any:
    """Of `with_structured_output(include_raw=True)`."""
    if result["parsed"] is None and isinstance(result["raw"], AIMessage):
        text = _text(result["raw"])
        raise ReplyRefused("the answer doesn't fit the form that was asked for", said=text)
    return result["parsed"]


def _text(message: Any) -> Any:
    """What a message says; a state without LangChain's own reducer may hold messages as dicts or texts."""
    if refusal := refusal_of(message):
        raise AgentRefused(refusal)
    if isinstance(message, BaseMessage):
        return str(message.text)
    return message.get("content") if isinstance(message, Mapping) else message


def question_of(interrupts: Sequence[Any]) -> Reply:
    """The question to a person that interrupts mean; choices are taken from the only one that has some."""
    values = [interrupt.value for interrupt in interrupts]
    text = "\n".join(map(_asked, values))
    if len(text) > QUESTION_CHARS_MAX:  # a question that holds a secret is refused, but one that was cut isn't found
        text = excerpt(text, QUESTION_CHARS_MAX)
    offered = values[0].get("choices", values[0].get("options")) if _is_only_dict(values) else None
    choices = tuple(offered) if isinstance(offered, list | tuple) and all(map(_is_choice, offered)) else ()
    asked = text or "The graph was interrupted, and doesn't say why."
    return Reply(ask=Question(asked, choices if len(choices) <= CHOICES_MAX else ()))


def _is_only_dict(values: list[Any]) -> bool:
    return len(values) == 1 and isinstance(values[0], dict)


def _is_choice(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= FINDING_CHARS_MAX


def _asked(value: Any) -> str:
    if isinstance(value, dict):
        value = next((value[key] for key in ("question", "text", "message") if value.get(key)), value)
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
