"""How far a run has come: which of its steps may run, and what follows where one has ended.

Steps are numbers: those of the plan, and after them the items of expanded for_each steps. `label[n]` is the number in
the plan; for an item, that of its for_each step.
"""

from collections.abc import Mapping
from typing import Any

from .held import Held
from .purse import Purse
from .rules import Rules
from .states import BUSY, COUNTS_AS, DUE, LEGAL, REOPENED, State
from .step import Step


class Progress:
    """The steps of a run, and how each of them stands.

    purse: what was consumed. state, attempts: per step. number: the step of this id. items: of an item, its id, its
    place in the list, and what stands there. reasons: why a step stands as it does, where there is something to say.
    """

    def __init__(self, rules: Rules) -> None:
        plan = rules.plan
        count = len(plan.steps)
        self.rules, self.plan, self.purse = rules, plan, Purse()
        self.number = plan.number
        self.label = list(range(count))
        self.state: list[State] = ["waiting"] * count
        self.attempts = [0] * count
        self.reasons: dict[int, str] = {}
        self.items: dict[int, tuple[str, int, Any]] = {}
        self._lacking = [len(needs) for needs in plan.needs]
        self._items_of: dict[int, range] = {}
        self._items_left: dict[int, int] = {}
        # Of a for_each with a width: how many more of its items may be under way, and the first that may wait for that.
        self._room: dict[int, int] = {}
        self._waiting_from: dict[int, int] = {}
        self._blocked: set[int] = set()
        # Steps that are skipped when it is their turn, and by which decision: until then what they need may be under
        # way, and who comes after them must not begin before that has ended.
        self._dropped: dict[int, str] = {}
        # The steps that decide about the plan.
        self.decisions: list[int] = []
        self._all_committed = True
        self._due: dict[int, None] = {}
        self._held = Held(self.purse)
        self._open = count - 1
        self._busy = 0

    def step(self, n: int) -> Step:
        """The declaration of a step; that of the for_each step for an item."""
        return self.plan.steps[self.label[n]]

    def step_id(self, n: int) -> str:
        """The id of a step or of an item."""
        return self.items[n][0] if n in self.items else self.plan.steps[n].id

    def index_of(self, n: int) -> int:
        """The place of an item in its list; 0 for any other step."""
        return self.items[n][1] if n in self.items else 0

    def _end(self, n: int, state: State, reason: str = "", legal: Mapping[State, frozenset[State]] = LEGAL) -> None:
        self._move(n, state, legal)
        if reason:
            self.reasons[n] = reason
        if state != "committed":
            self._all_committed = False
        self._open -= 1
        group = self.label[n]
        if group == n:
            self._release(n)
        else:
            self._items_left[group] -= 1
            if group in self._room:
                self._leave_room(group)
            if not self._items_left[group]:
                self._end_group(group)

    def _takes_room(self, n: int, *, needed: bool = True) -> bool:
        """Whether an item may be under way now, beside others of its for_each; needed: only if there is room for it."""
        group = self.label[n]
        width = self.plan.steps[group].width
        if group == n or not width:
            return True
        if needed and self._room.setdefault(group, width) <= 0:
            self._waiting_from[group] = min(self._waiting_from.get(group, n), n)
            return False
        self._room[group] -= 1
        return True

    def _leave_room(self, group: int) -> None:
        """An item is over: the next one that waits begins."""
        self._room[group] += 1
        n = self._waiting_from.get(group, len(self.label))
        while self._room[group] > 0 and n < len(self.label) and self.label[n] == group:
            if self.state[n] == "waiting":
                self._room[group] -= 1
                self._move(n, "ready")
            n += 1
            self._waiting_from[group] = n

    def _end_group(self, group: int) -> None:
        items = self._items_of[group]
        dead = [n for n in items if self.state[n] == "dead"]
        self._busy += 1
        del self._items_left[group]
        if dead and (self.rules.on_dead[group] == "fail_run" or len(dead) == len(items)):
            self._end(group, "dead", f"{self.step_id(dead[0])}: {self.reasons[dead[0]]}")
        else:
            self._end(group, "committed", "")

    def _release(self, n: int) -> None:
        """Tell the dependents of a step that it has ended; some may end at once, too."""
        ended = [n]
        for done in ended:
            for dependent in self.plan.dependents[done]:
                self._lacking[dependent] -= 1
                if not self._lacking[dependent] and self.state[dependent] == "waiting":
                    reason = self._reason_to_skip(dependent)
                    if reason:
                        self._move(dependent, "skipped")
                        self.reasons[dependent] = reason
                        self._open -= 1
                        ended.append(dependent)
                    else:
                        self._move(dependent, "ready")

    def _reason_to_skip(self, n: int) -> str:
        """Why a step whose needs have all ended must not run; the empty string if it may."""
        if self._all_committed:
            return ""
        if n in self._dropped:
            return f"dropped by {self._dropped[n]}"
        needs, whole = self.plan.needs[n], self.step(n).join == "all"
        # Who takes any outcome wants to know of a dead one, whatever it counts as for others.
        outcome = {need: self._counts_as(need) if whole else self.state[need] for need in needs}
        outcomes = set(outcome.values())
        if outcomes == {"committed"}:
            return ""
        lost = next((need for need in needs if outcome[need] == "dead" or need in self._blocked), None)
        if lost is not None and whole:
            self._blocked.add(n)
            fate = "is dead" if self.state[lost] == "dead" else "can't run"
            return f"it needs {self.step_id(lost)}, which {fate}"
        if (outcomes == {"skipped"} and lost is None) or self._drop_with_its_needs(n):
            return "every step it needs was skipped"
        return ""

    def _drop_with_its_needs(self, n: int) -> bool:
        """Drop a step if all that it needs was dropped, but for the decision that has added it. Whether that was so."""
        asked_for = [need for need in self.plan.needs[n] if need not in self.decisions]
        if not asked_for or not all(need in self._dropped for need in asked_for):
            return False
        self._dropped[n] = self._dropped[asked_for[0]]
        return True

    def _counts_as(self, n: int) -> State:
        """What a step that has ended is for those that need all they need."""
        return COUNTS_AS[self.rules.on_dead[n]] if self.state[n] == "dead" else self.state[n]

    def _move(self, n: int, to: State, legal: Mapping[State, frozenset[State]] = LEGAL) -> None:
        state = self.state[n]
        assert to in legal.get(state, ()), f"{self.step_id(n)}: {state} -> {to}"
        self.state[n] = to
        self._busy += (to in BUSY) - (state in BUSY)
        if to in DUE:
            self._due[n] = None
        else:
            self._due.pop(n, None)
        if self._held.let_go and to != "ready":
            self._held.begin(n)

    def _reopen(self, n: int, to: State) -> None:
        self._move(n, to, REOPENED)
        self.reasons.pop(n, None)
        self._open += 1
