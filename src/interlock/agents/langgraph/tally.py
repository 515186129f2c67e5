"""The callback that counts tokens: one for each call, so that nobody counts for another."""

import asyncio
import logging
from threading import Lock
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import LLMResult

from interlock.agents.foreign import Meter

log = logging.getLogger("interlock")

# The clients that try again by themselves unless they are told not to.
RETRYING = {"ChatOpenAI", "AzureChatOpenAI", "ChatAnthropic", "ChatGroq", "ChatMistralAI", "ChatGoogleGenerativeAI"}
_warned: set[str] = set()


class Tally(BaseCallbackHandler):  # type: ignore[misc] # LangChain is not there for the type checker
    """Counts on a meter what each model says it used. refusal: why the last one didn't want to answer, if so."""

    # In the loop, where the call is; models that work in threads count from there.
    run_inline = True
    ignore_agent = ignore_chain = ignore_custom_event = ignore_retriever = ignore_retry = True

    def __init__(self, meter: Meter) -> None:
        self._meter, self._lock = meter, Lock()
        self.refusal = ""

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """A model is asked: only Interlock is to ask it again."""
        name = ["", *(serialized or {}).get("id", [])][-1]
        if name in RETRYING and (serialized.get("kwargs") or {}).get("max_retries") != 0 and name not in _warned:
            _warned.add(name)
            log.warning("langgraph: %s tries again by itself, unseen: make it with max_retries=0", name)

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A piece of an answer has come: the call may have been cancelled meanwhile."""
        # Clients wait for each piece by `wait_for`, which before Python 3.12 forgets a cancellation that comes with it.
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public one raises instead of answering
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model has answered."""
        generations = [generation for of_prompt in response.generations for generation in of_prompt]
        message = getattr(generations[0], "message", None) if generations else None
        self.refusal = refusal_of(message)
        used = getattr(message, "usage_metadata", None)
        if not used or used.get("total_cost") == 0:  # it doesn't say; or it came out of LangChain's own cache
            return
        named = (getattr(message, "response_metadata", None) or {}).get("model_name")
        cached = (used.get("input_token_details") or {}).get("cache_read")
        self._add(named or (response.llm_output or {}).get("model_name"), used, cached)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model's answer was paid for, and then not taken by its client."""
        completion = getattr(error, "completion", None)
        used = getattr(completion, "usage", None)
        if type(error).__name__ == "ContentFilterFinishReasonError":
            self.refusal = _FILTERED
        if used is not None:
            told = {"input_tokens": used.prompt_tokens, "output_tokens": used.completion_tokens}
            details = getattr(used, "prompt_tokens_details", None)
            self._add(getattr(completion, "model", ""), told, getattr(details, "cached_tokens", None))

    def _add(self, model: Any, used: dict[str, Any], cached: Any) -> None:
        counts = [
            count if type(count) is int else 0 for count in (*map(used.get, ("input_tokens", "output_tokens")), cached)
        ]
        with self._lock:
            self._meter.add(model if isinstance(model, str) else "", counts[0], counts[1], cached=counts[2])


_FILTERED = "the model's answer was held back by a content filter"


def refusal_of(message: Any) -> str:
    """Why a model doesn't want to answer, in a sentence; empty where it does."""
    if not isinstance(message, AIMessage):
        return ""
    metadata = message.response_metadata or {}
    if metadata.get("finish_reason") == "content_filter":
        return _FILTERED
    blocks = (
        [block for block in message.content if isinstance(block, dict)] if isinstance(message.content, list) else []
    )
    refused = [block["refusal"] for block in blocks if block.get("type") == "refusal" and block.get("refusal")]
    said = (message.additional_kwargs or {}).get("refusal") or next(iter(refused), "")
    if said or metadata.get("stop_reason") == "refusal":
        return f"the model refused: {said}".removesuffix(": ")
    return ""
