"""The shape of one declared guardrail, which the guardrails know best."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from interlock.core.guardrail import Seat
from interlock.core.proofs import Guard
from interlock.core.values import encode_declared
from interlock.errors import TeamError

from .shapes import Place, dotted


class Guarding:
    """A name, a name with options, or a function of the user's own."""

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """Whatever is wrong with it."""
        from interlock.guardrails.declared import seat_of  # noqa: PLC0415 - most teams have none

        try:
            encode_declared(value)
            seat_of(value, _nobody)
        except TeamError as error:
            at = (*place, *error.place)
            yield TeamError(f"{dotted(place)}: {error.sentence}", fix=error.fix, place=at)
        except (TypeError, ValueError) as error:
            yield TeamError(f"{dotted(place)}: {error}", place=place)

    def schema(self) -> dict[str, Any]:
        """What is possible, of each guardrail there is."""
        from interlock.guardrails.declared import json_schema  # noqa: PLC0415 - only who asks for the schema pays

        return json_schema()


def guard(folder: Path | None) -> Guard:
    """What makes the guardrails of a team, whose folder is on the import path for their code."""

    def made(declared: Any) -> Seat:
        from interlock.guardrails.declared import seat_of  # noqa: PLC0415 - most teams have none

        return seat_of(declared, found)

    def found(reference: str) -> Any:
        from .registry import find  # noqa: PLC0415 - the registry knows teams

        return find(reference, folder)

    return made


def _nobody(reference: str) -> NoReturn:
    raise AssertionError(f"{reference} is asked for before the team is whole")
