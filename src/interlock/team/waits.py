"""How a team file says what a step waits for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import msgspec

from interlock.core.naming import is_id
from interlock.core.values import encode
from interlock.core.waits import OnDeadline, Wait
from interlock.errors import InterlockError, TeamError

from .gates import DURATION
from .shapes import Place, Text, dotted, kind_of


class Taken(msgspec.Struct, frozen=True):
    """A text or a mapping that `takes` takes without raising."""

    takes: Callable[[Any], Any]
    what: str
    document: Mapping[str, Any]

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Of another kind, or refused."""
        if not isinstance(value, str | Mapping):
            yield TeamError(f"{dotted(place)} is {kind_of(value)}, not {self.what}", place=place)
            return
        try:
            encode(value)
            self.takes(value)
        except InterlockError as error:
            yield TeamError(f"{dotted(place)}: {error.message}", fix=error.fix, place=place)

    def schema(self) -> dict[str, Any]:
        """One of them."""
        return dict(self.document)


EVENT = Text("the name of an event, of 1 to 80 letters, digits, _ and -", is_id, {"pattern": "^[A-Za-z0-9_-]{1,80}$"})
DEADLINE = Text(
    "a duration, such as 3d", lambda text: Wait.of(None, "event", text), DURATION.schema() | {"type": "string"}
)
TIME = Taken(
    lambda wait: Wait.of(wait, ""),
    "a duration or {until: TIME}",
    {
        "anyOf": [
            DURATION.schema(),
            {
                "type": "object",
                "properties": {"until": {"type": "string"}},
                "required": ["until"],
                "additionalProperties": False,
            },
        ]
    },
)
ON_DEADLINE = Taken(
    lambda way: Wait.of(None, "event", "1s", way),
    f"one of {', '.join(get_args(OnDeadline))}, or {{default: {{path: value}}}}",
    {
        "anyOf": [
            {"enum": list(get_args(OnDeadline))},
            {
                "type": "object",
                "properties": {"default": {"type": "object", "minProperties": 1}},
                "required": ["default"],
                "additionalProperties": False,
            },
        ]
    },
)
