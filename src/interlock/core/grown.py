"""A plan that has grown while its run goes on: new steps, and the numbers that all others have kept.

Steps and items of a run share their numbers. So new steps begin after the last number that is given away; what lies
between stands for items, and is nobody's: it needs nothing, writes nothing and is needed by none.
"""

from collections.abc import Sequence

import msgspec

from .plan import Plan, copies_of, in_order, needs_of, unique_ids
from .step import REQUEST, Step, checked
from .values import hash_of

# What stands at the numbers of items.
NOBODYS = Step("", "", "", writes=())


class GrownPlan(Plan):
    """A plan with more steps, which may need all others. first: the number of the first of them.

    hash: of the plan before and of what was added. Raises PlanError.
    """

    def __init__(self, plan: Plan, added: Sequence[Step], first: int) -> None:
        flat, spans = copies_of([*map(checked, added)])
        self.declared = [*plan.declared, *added]
        self.hash = hash_of([plan.hash, *added])
        unique_ids(self.declared, [REQUEST, *map(plan.steps.__getitem__, plan.number.values()), *flat[1:]])
        # A new step is at its position in `flat`, where the request is the first, and then at this place.
        before = first - 1
        places = {step.id: before + position for position, step in enumerate(flat) if position}
        groups = {id_: [before + position for position in span] for id_, span in spans.items()}
        needs = needs_of(flat, plan.number | places, {**plan.groups, **groups})
        order = in_order(flat, [tuple([need - before for need in mine if need >= first]) for mine in needs])
        number = {before + position: n for n, position in enumerate(order, before)}
        gap = first - len(plan.steps)
        new = [flat[position] for position in order[1:]]
        self.steps = (*plan.steps, *[NOBODYS] * gap, *new)
        self.number = plan.number | {step.id: n for n, step in enumerate(new, first)}
        mine = [tuple([number.get(need, need) for need in needs[position]]) for position in order[1:]]
        self.needs = [*plan.needs, *[()] * gap, *mine]
        self._groups = {**plan.groups, **{id_: [number[place] for place in group] for id_, group in groups.items()}}
        self.requesters = plan.requesters


def decoded(added: msgspec.Raw) -> list[Step]:
    """The steps in a journaled revision."""
    return msgspec.json.decode(added, type=list[Step])
