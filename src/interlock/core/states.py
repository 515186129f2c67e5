"""The states of a step and of a run, and what a step may become: tables, by which the machine moves.

Plain strings, not an Enum: a check costs a tenth.
"""

from typing import Literal

State = Literal[
    "waiting",
    "ready",
    "running",
    "backing_off",
    "awaiting",
    "escalated",
    "performing",
    "committed",
    "dead",
    "skipped",
    "cancelled",
]
Status = Literal["running", "parked", "succeeded", "failed", "cancelled"]
# What it means for the run that a step is given up.
OnDead = Literal["fail_run", "skip", "continue"]

# What a step may become. awaiting: a time must come, or an event. performing: it has committed, and its effects are
# under way.
LEGAL: dict[State, frozenset[State]] = {
    "waiting": frozenset({"ready", "skipped", "cancelled"}),
    "ready": frozenset({"running", "backing_off", "awaiting", "escalated", "skipped", "dead", "cancelled"}),
    "running": frozenset({"performing", "committed", "ready", "backing_off", "escalated", "dead", "cancelled"}),
    "backing_off": frozenset({"ready", "cancelled"}),
    "awaiting": frozenset({"ready", "committed", "skipped", "cancelled"}),
    "escalated": frozenset({"ready", "performing", "committed", "skipped", "cancelled"}),
    "performing": frozenset({"committed", "escalated", "dead", "cancelled"}),
    "committed": frozenset(),
    "dead": frozenset(),
    "skipped": frozenset(),
    "cancelled": frozenset(),
}
# What a step may become whose commit is taken over from another run; an item, even before it is its turn.
SHARED: dict[State, frozenset[State]] = {"ready": frozenset({"committed"}), "waiting": frozenset({"committed"})}
# What a step may become that reconciles what others have said, and needs nobody for it.
RECONCILED: dict[State, frozenset[State]] = {"ready": frozenset({"committed"})}
# What it may become when its run is reopened: tried again, or an item of it is, or it was skipped for want of them. An
# item waits where too many others of its for_each are under way.
REOPENED: dict[State, frozenset[State]] = {
    "dead": frozenset({"ready", "waiting", "running", "performing"}),
    "committed": frozenset({"running"}),
    "skipped": frozenset({"waiting"}),
}
# What a dead step counts as for those that need it, by its `on_dead`.
COUNTS_AS: dict[OnDead, State] = {"fail_run": "dead", "skip": "skipped", "continue": "committed"}
# What a person's decision makes of a step that waits for one. What is rejected has its burial still to come.
AFTER_DECISION: dict[str, State] = {
    "answer": "ready",
    "retry": "ready",
    "approve": "committed",
    "edit": "committed",
    "write": "committed",
    "reject": "ready",
    "skip": "skipped",
}
TERMINAL = frozenset({"committed", "dead", "skipped", "cancelled"})
DUE = frozenset({"ready", "backing_off"})
BUSY = frozenset({"ready", "running", "backing_off", "performing"})
