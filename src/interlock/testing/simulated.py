"""What a test looks at after a simulation: one run that took place in virtual time, or what broke."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from interlock.core import events as e
from interlock.core.context import View
from interlock.core.machine import Machine
from interlock.core.naming import hint
from interlock.core.purse import Cost
from interlock.core.states import Status
from interlock.engine.run import Run
from interlock.errors import UsageError
from interlock.history import Ending, visible

from .simulation.account import Account
from .simulation.episode import Episode, said_of
from .simulation.transcript import transcript

LINES_MAX = 120


class SimulationFailed(AssertionError):
    """An invariant broke. The text is what broke, and the story that led there.

    invariant: its name. seed: of the world. transcript: one line for each thing that happened. How it was found and
    what to do next is in the text alone.
    """

    __module__ = "interlock.testing"  # where users find it
    # The plugin shows such an error as its text, without a stack: the stack is that of the test tools.
    interlock_tells_all = True

    def __init__(self, invariant: str, message: str, episode: Episode, *, run_id: str = "", found: str = "") -> None:
        self.invariant, self.message, self.seed = invariant, message, episode.seed
        lines = transcript(episode, run_id, values=True)
        self.transcript = "\n".join(lines)
        super().__init__(
            "\n".join([visible(f"{invariant}: {message}"), f"(seed {episode.seed}{found})", "", *shortened(lines)])
        )


def shortened(lines: Sequence[str]) -> list[str]:
    """The beginning and the end of a long story."""
    if len(lines) <= LINES_MAX:
        return [*lines]
    half = LINES_MAX // 2
    return [*lines[:half], f"    ... {len(lines) - 2 * half:,} lines left out ...", *lines[-half:]]


class SimulatedRun(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """One run that took place in virtual time. As text it is its transcript.

    status, reason, context, steps, cost: as those of a Run. duration: virtual seconds, from its first event to its
    last. events: all that its journal holds. faults: the kinds of those that struck, in order. transcript: one line
    for each thing that happened, with its time, its process and its step.
    """

    run_id: str
    status: Status
    reason: str
    context: View
    steps: Mapping[str, str]
    cost: Cost
    duration: float
    events: Sequence[e.AnyEvent]
    faults: Sequence[str]
    transcript: str

    @classmethod
    def of(cls, episode: Episode) -> "SimulatedRun":
        """The only run of a world, beside those that do steps of it."""
        ((run_id, account),) = (
            one for one in episode.runs.items() if getattr(one[1].events[0], "parent", None) is None
        )
        run = Run.of(run_id, _folded(account))
        moments = [happening.at for happening in episode.story if happening.what == "event"]
        return cls(
            run_id=run_id,
            status=run.status,
            reason=run.reason,
            context=run.context,
            steps=run.steps,
            cost=run.cost,
            duration=moments[-1] - moments[0],
            events=tuple(account.events),
            faults=tuple(struck.kind for struck in episode.struck),
            transcript="\n".join(transcript(episode, run_id)),
        )

    def outcomes(self, step: str) -> list[str]:
        """What became of each call of a step, in order.

        `committed`, `refused`, `judged` (it was a judge's call), `asked` (a person), `failed`, `crashed`, `timed out`,
        `interrupted` (its process died) or `cancelled`; empty for a step that was never called. Raises UsageError for
        an unknown step.
        """
        found: list[str] = []
        places: dict[int, int] = {}
        for event in self._of(step):
            if isinstance(event, e.AttemptStarted):
                places[event.attempt] = len(found)
                found.append("cancelled")
            elif isinstance(event, Ending) and event.attempt in places:
                found[places[event.attempt]] = said_of(event)
        return found

    def findings(self, step: str) -> list[str]:
        """Why replies of a step were refused: the sentences that its agent was told. Raises UsageError."""
        refusals = [event for event in self._of(step) if isinstance(event, e.AttemptRefused)]
        return [finding.message for refusal in refusals for finding in refusal.findings]

    def _of(self, step: str) -> list[Any]:
        if step not in self.steps:
            fix = f"its steps are {', '.join(self.steps)}"
            raise UsageError(f"the run has no step {step}{hint(step, self.steps)}", fix=fix)
        return [event for event in self.events if getattr(event, "step", None) == step]

    def __str__(self) -> str:
        return self.transcript

    def __repr__(self) -> str:
        return f"<SimulatedRun {self.status}{f': {self.reason}' if self.reason else ''}>"


def _folded(account: Account) -> Machine:
    machine = Machine(account.first_rules)
    for event in account.events:
        machine.apply(event)
    return machine


# What differs from one machine, checkout or edit to the next, though the team did the same.
_UNSTABLE = ((re.compile(r"\((\S+\.py):\d+ in "), r"(\1 in "), (re.compile(r"\b0x[0-9a-f]{6,}\b"), "0x..."))


def stable(text: str, folders: Sequence[str] = ()) -> str:
    """A transcript without line numbers of code, memory addresses and these folders: fit to be kept and compared."""
    for folder in folders:
        text = text.replace(folder, "...")
    for pattern, instead in _UNSTABLE:
        text = pattern.sub(instead, text)
    return text
