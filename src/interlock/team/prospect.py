"""What is known of a team before it runs: its plan and what that takes, with the same of the teams nested in it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .estimates import Estimates, calls_of, estimated, is_open, most_ms_of
from .model import Team
from .outline import Outline, StepOutline


class Prospect(msgspec.Struct, frozen=True):
    """A team, its plan and what that takes. nested: the same of its agents that are teams."""

    team: Team
    outline: Outline
    estimates: Estimates
    nested: "Mapping[str, Prospect]"

    @classmethod
    def of(cls, team: Team, request: Mapping[str, Any] | None = None) -> "Prospect":
        """The prospect of a team, for what is known of its request. Raises InputError for one that it refuses."""
        nested = {name: cls.of(inner) for name, inner in team.nested.items()}
        outline = Outline.of(team.rules, request, {name: one.outline for name, one in nested.items()})
        inner = {name: one.estimates for name, one in nested.items()}
        return cls(team, outline, estimated(outline, team.rules, team.agents, inner), nested)

    @property
    def _inner(self) -> dict[str, Estimates]:
        return {name: one.estimates for name, one in self.nested.items()}

    def calls_of(self, step: StepOutline) -> int | None:
        """How many calls one copy of a step takes at most; None where nothing bounds a nested team's."""
        return calls_of(step, self.team.rules, self._inner)

    def most_ms_of(self, step: StepOutline) -> int:
        """How long one copy of a step takes at most."""
        return most_ms_of(step, self.team.rules, self._inner)

    def is_open(self, step: StepOutline) -> bool:
        """Whether nobody knows how long it takes."""
        return is_open(step, self.team.rules, self._inner)
