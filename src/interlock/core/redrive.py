"""Trying dead steps again: which they are, and whether their own run can go on with them."""

from .machine import Machine
from .paths import bits

# A step in one of these states has not started: nothing was computed from what a dead one left out.
NOT_STARTED = frozenset({"waiting", "skipped"})


def dead_steps(machine: Machine) -> list[str]:
    """The steps and items that were given up. A for_each step that died of its items is not one."""
    groups = {machine.label[n] for n in machine.items}
    dead = (n for n, state in enumerate(machine.state) if state == "dead" and n not in groups)
    return [machine.step_id(n) for n in dead]


def obstacle(machine: Machine, steps: list[str]) -> str:
    """Why a run can't go on with steps that are dead; "" where it can.

    It can where nothing that comes after them has started: then it goes on as if they had never been tried.
    """
    if machine.status == "cancelled":
        return "the run was cancelled, which is final"
    for step in steps:
        label = machine.label[machine.number[step]]
        for n in bits(machine.plan.descendants[label]):
            if machine.state[n] not in NOT_STARTED:
                return f"step {machine.step_id(n)} comes after {step}, and has started already"
    return ""
