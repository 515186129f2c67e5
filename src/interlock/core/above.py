"""The teams above that of a run, whose rates and daily budgets bound what is called for them, however deep.

A run is told of them as it begins, so that whoever drives it keeps to them, and knows no other team for that.
"""

from collections.abc import Sequence

import msgspec

from .budget import BudgetPolicy
from .rate import RatePolicy

_PREFIX = "above_"


class Above(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one of them declares for all its calls. gate: what its gate is called in the journal."""

    gate: str
    rate: RatePolicy | None = None
    budget: BudgetPolicy | None = None

    @property
    def whose(self) -> str:
        """What the team is called, for people: by its name, else by its file."""
        return f"team {self.gate.removesuffix('/')}"


def kind_above(level: int, kind: str) -> str:
    """What a part of such a gate is called. level: 1 for the nearest team that has one."""
    return f"{_PREFIX}{level}_{kind}"


def is_above(kind: str) -> bool:
    """Whether this is a part of the gate of a team above."""
    return kind.startswith(_PREFIX)


def found_above(above: Sequence[Above], kind: str) -> tuple[Above, str] | None:
    """The team that this is a part of the gate of, and which part; None where it is a gate of the run's own team."""
    if not is_above(kind):
        return None
    level, _, part = kind.removeprefix(_PREFIX).partition("_")
    return above[int(level) - 1], part
