"""What ends a world: an invariant that doesn't hold."""

from collections.abc import Callable
from typing import Any

# Raises Broken unless something holds: the invariant, whether it holds, and what is wrong if it doesn't.
Require = Callable[[str, object, str], None]


class Broken(Exception):
    """An invariant doesn't hold. invariant: its name; run_id: of which run, or "" for the whole simulation."""

    def __init__(self, invariant: str, message: str, run_id: str = "") -> None:
        self.invariant, self.message, self.run_id = invariant, message, run_id
        super().__init__(f"{invariant}: {message}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Broken in another process, told in this one."""
        return Broken, (self.invariant, self.message, self.run_id)
