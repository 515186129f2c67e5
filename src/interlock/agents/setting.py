"""What an adapter is made from: the declaration of its agent, and what that stands among."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from interlock.team import Agent, Team

from .foreign import Translation
from .tools import Workshop


class Setting(msgspec.Struct, frozen=True):
    """How one agent of a team is declared.

    declared: what stands under the key of its kind, a mapping with `use` where that was a text. find: the object that
    "module:name" names, from the team's folder. workshop: what the tools of the team's agents share.
    """

    agent: Agent
    declared: Mapping[str, Any]
    find: Callable[[str], Any]
    team: Team
    workshop: Workshop

    @property
    def target(self) -> Any:
        """The framework's object that `use` names. Raises TeamError."""
        return self.find(self.declared["use"])

    @property
    def translation(self) -> Translation:
        """The translation that is declared. Raises TeamError."""
        return Translation.of(self.declared, self.find)
