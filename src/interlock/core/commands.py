"""Commands: what the run's state calls for, in the imperative. The shell carries them out and answers with events."""

from typing import final

import msgspec
from msgspec import Raw

from .events import AttemptCommitted, AttemptRefused, ConflictsResolved, EventRefused, WaitEnded
from .job import Question


class Command(msgspec.Struct, frozen=True, gc=False):
    """A request to the shell. `number` is the step's place in the machine's tables."""


@final
class CallAgent(Command, frozen=True, tag=True):
    """Call `agent` for a step; to be announced by AttemptStarted as soon as there is room for a call."""

    number: int
    step: str
    agent: str
    attempt: int
    timeout_ms: int


@final
class StartChild(Command, frozen=True, tag=True):
    """Have a run of the team behind `agent` do a step; to be announced by ChildStarted. timeout_ms: 0 for no bound."""

    number: int
    step: str
    agent: str
    attempt: int
    timeout_ms: int


@final
class StartTimer(Command, frozen=True, tag=True):
    """Report at due_us that a wait is over, but after wait_ms at the latest: a clock may be set back meanwhile."""

    number: int
    step: str
    due_us: int
    wait_ms: int


@final
class PerformEffect(Command, frozen=True, tag=True):
    """Perform an effect of a step; to be announced by EffectStarted, at due_us or after wait_ms at the latest.

    immediate: its agent waits for it, and has room for a call meanwhile.
    """

    number: int
    step: str
    effect: str
    key: str
    attempt: int
    timeout_ms: int
    due_us: int = 0
    wait_ms: int = 0
    immediate: bool = False


class AskAboutEffect(Command, frozen=True, tag=True):
    """Record that a step waits for a person, who knows what became of its effect, or may let it be performed."""

    step: str
    attempt: int
    question: Question
    effect: str
    deadline_ms: int = 0


class AskAboutPlan(Command, frozen=True, tag=True):
    """Record that a person is asked whether a plan may run. step: its first one. plan: its hash."""

    step: str
    question: Question
    deadline_ms: int
    plan: Raw


class ConcludeDraft(Command, frozen=True, tag=True):
    """Record what becomes of a reply that has waited for its judges, or of a decision that a person has approved."""

    verdict: AttemptCommitted | AttemptRefused


class BeginWait(Command, frozen=True, tag=True):
    """Record that a step waits: for an event, until due_us, or for so long from now on."""

    step: str
    event: str
    due_us: int
    duration_ms: int


class TakeEvent(Command, frozen=True, tag=True):
    """Record what becomes of an event that had come before its step began to wait."""

    verdict: WaitEnded | EventRefused


class ResolveConflicts(Command, frozen=True, tag=True):
    """Record how what others have said was reconciled."""

    step: str
    verdict: ConflictsResolved


class ExpandStep(Command, frozen=True, tag=True):
    """Record that a for_each step became these items."""

    step: str
    items: Raw


class SkipStep(Command, frozen=True, tag=True):
    """Record that a step's condition did not hold."""

    step: str
    reason: str


class CallForDecision(Command, frozen=True, tag=True):
    """Record that an agent is to decide about the plan, after these steps."""

    step: str
    needs: tuple[str, ...]
    reason: str = ""


class RevisePlan(Command, frozen=True, tag=True):
    """Record what a decision has made of the plan."""

    step: str
    added: Raw
    finished: bool
    dropped: tuple[str, ...] = ()
    otherwise: bool = False


class AskPerson(Command, frozen=True, tag=True):
    """Record that a person is asked what to do about a step whose attempts, or whose budget, are used up."""

    step: str
    attempt: int
    reason: str
    deadline_ms: int
    budget: str = ""


class FailAttempt(Command, frozen=True, tag=True):
    """Record that the run which did a step has not done it."""

    step: str
    attempt: int
    kind: str
    error: str
    retryable: bool


class EndBackoff(Command, frozen=True, tag=True):
    """Record that there is enough by now of what a step has waited for."""

    step: str


class BuryStep(Command, frozen=True, tag=True):
    """Record that a step is given up. agent: whose step it is; attempts: how many it had."""

    step: str
    reason: str
    agent: str
    attempts: int


class ParkRun(Command, frozen=True, tag=True):
    """Record that only a person can move the run."""

    reason: str


class FinishRun(Command, frozen=True, tag=True):
    """Record how the run ended."""

    status: str
    reason: str


# What takes time or room and so is the shell's to do; the rest is recorded at once.
ForTheShell = CallAgent | StartChild | StartTimer | PerformEffect
ForTheRecord = (
    AskAboutEffect
    | AskAboutPlan
    | AskPerson
    | BeginWait
    | TakeEvent
    | CallForDecision
    | ConcludeDraft
    | ResolveConflicts
    | ExpandStep
    | SkipStep
    | BuryStep
    | EndBackoff
    | FailAttempt
    | ParkRun
    | RevisePlan
    | FinishRun
)
AnyCommand = ForTheShell | ForTheRecord
