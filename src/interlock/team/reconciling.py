"""How a team file says what a step reconciles."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec

from interlock.core.reconcile import CANDIDATES_MAX, QUORUM, Missing, Reconcile, Way
from interlock.core.sameness import Form
from interlock.errors import PlanError, TeamError

from .shapes import Choice, Field, Flag, Many, Named, Place, Record, Shape, Text, Whole, dotted


class _OneOrMany(msgspec.Struct, frozen=True):
    """A value, or a list of such."""

    one: Shape

    def problems(self, value: Any, place: Place) -> Iterator[TeamError]:
        """As of the value that it is, or of each in the list."""
        yield from (Many(self.one, least=1) if isinstance(value, list) else self.one).problems(value, place)

    def schema(self) -> dict[str, Any]:
        """Either."""
        return {"anyOf": [self.one.schema(), Many(self.one, least=1).schema()]}


def shape(path: Text, pattern: Text) -> Record:
    """What a declared reconciliation must look like."""
    ways = tuple(way for way in get_args(Way) if way != "dead")
    return Record(
        "a reconciliation",
        {
            "among": Field(
                _OneOrMany(path), "The candidates: a path, whose values they are, or their paths.", required=True
            ),
            "policy": Field(
                Choice(ways), "Who decides where they contradict each other: first in the plan, ...", required=True
            ),
            "otherwise": Field(
                _OneOrMany(Choice(get_args(Way))), "Who decides what that leaves open, one after another (dead)."
            ),
            "same": Field(
                Named(pattern, Choice(get_args(Form))),
                "By path, in which form values are compared: number, date, text.",
            ),
            "missing": Field(Choice(get_args(Missing)), "What only some say: fill (it is taken), or a conflict."),
            "quorum": Field(Whole(1, CANDIDATES_MAX), f"So many candidates must be there ({QUORUM})."),
            "anew": Field(Flag(), "A judge or a person may give a value that no candidate has."),
        },
        check=_problems,
    )


def _problems(value: Mapping[str, Any], place: Place) -> Iterator[TeamError]:
    try:
        Reconcile.of(value)
    except PlanError as error:
        yield TeamError(f"{dotted(place)}: {error.message}", fix=error.fix, place=place)
