"""The states of a step and of a run, and what a step may become: tables, by which the machine moves.

Plain strings, not an Enum: a check costs a tenth.
"""

from typing import Literal

State = Literal["waiting", "ready", "running", "backing_off", "escalated", "committed", "dead", "skipped", "cancelled"]
Status = Literal["running", "parked", "succeeded", "failed", "cancelled"]

# What a step may become.
LEGAL: dict[State, frozenset[State]] = {
    "waiting": frozenset({"ready", "skipped", "cancelled"}),
    "ready": frozenset({"running", "backing_off", "skipped", "dead", "cancelled"}),
    "running": frozenset({"committed", "ready", "backing_off", "escalated", "dead", "cancelled"}),
    "backing_off": frozenset({"ready", "cancelled"}),
    "escalated": frozenset({"cancelled"}),
    "committed": frozenset(),
    "dead": frozenset(),
    "skipped": frozenset(),
    "cancelled": frozenset(),
}
TERMINAL = frozenset({"committed", "dead", "skipped", "cancelled"})
DUE = frozenset({"ready", "backing_off"})
BUSY = frozenset({"ready", "running", "backing_off"})
