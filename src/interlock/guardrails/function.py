"""A function of the user's own as a guardrail."""

import inspect
from typing import Any

from interlock.core.events import Finding
from interlock.core.guardrail import FINE, Draft, Opinion
from interlock.errors import TeamError

from .named import Named

COST = 5
_ANSWERS = "return None, a sentence, a score from 0 to 1, a list of sentences, or an Opinion"


class Function:
    """A function of a draft.

    It returns None (nothing to say against it), a sentence or several (what is wrong), a score from 0 to 1, or an
    Opinion. It runs in the loop, so it must be quick.
    """

    __slots__ = ("_code", "cost", "name")

    def __init__(self, code: Named, cost: int = COST) -> None:
        self._code, self.name, self.cost = code, code.name, cost

    def resolve(self) -> None:
        """Find the function. Raises TeamError: there is none, or it is async."""
        function = self._code.get()
        if isinstance(function, type) or not callable(function):
            raise TeamError(f"the guardrail {self._code.reference} is no function", fix="name a function")
        called = getattr(function, "__call__", None)  # noqa: B004 - asks what kind of callable it is
        if any(
            test(f) for f in (function, called) for test in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        ):
            message = f"the guardrail {self._code.reference} is async, which is not part of this version"
            raise TeamError(message, fix="write def: it gets all that it may judge by in the draft")

    def check(self, draft: Draft) -> Opinion:
        """What the function thinks. Raises TypeError for an answer that is none."""
        return _opinion(self._code.get()(draft), self.name)


def _opinion(answer: Any, name: str) -> Opinion:
    if answer is None:
        return FINE
    if type(answer) is Opinion:
        return answer
    if type(answer) in {int, float}:
        return Opinion(answer)
    sentences = [answer] if type(answer) is str else answer
    if type(sentences) not in {list, tuple} or not all(type(sentence) is str for sentence in sentences):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"it returned a {type(answer).__name__}; {_ANSWERS}")
    findings = tuple(Finding(name, sentence) for sentence in sentences if sentence)
    return Opinion(0.0, findings) if findings else FINE
