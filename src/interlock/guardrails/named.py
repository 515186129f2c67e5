"""Code that a guardrail names: looked up before a run, or when it is first needed."""

from collections.abc import Callable
from typing import Any

from interlock.core.values import described


class Named:
    """An object, or "module:name" and who finds it."""

    __slots__ = ("_find", "_found", "reference")

    def __init__(self, given: Any, find: Callable[[str], Any]) -> None:
        self._find = find
        self._found = None if isinstance(given, str) else given
        self.reference = given if isinstance(given, str) else described(given)

    @property
    def name(self) -> str:
        """The last part of the reference: what a person calls it."""
        return self.reference.rpartition(":")[2].rpartition(".")[2]

    def get(self) -> Any:
        """The object. Raises TeamError where it isn't found."""
        if self._found is None:
            self._found = self._find(self.reference)
        return self._found
