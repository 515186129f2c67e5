"""Every error Interlock raises, in one tree.

The docstring of a class is its default message, `code` is stable, `fault` says whose it is: the caller's, an agent's
or ours. A message says what was wrong and where; `fix` says how to mend it.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

Fault = Literal["caller", "agent", "interlock"]

DESCRIPTION_CHARS_MAX = 2_000


class InterlockError(Exception):
    """Something went wrong in Interlock."""

    code: ClassVar[str] = "interlock"
    fault: ClassVar[Fault] = "interlock"

    def __init__(self, message: str = "", *, fix: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip().rstrip(".")
        self.fix = fix
        super().__init__(f"{self.message}; {fix}" if fix else self.message)


class PathError(InterlockError):
    """This is not a dotted path."""

    code = "bad_path"
    fault = "caller"


class ValueRefused(InterlockError):
    """This value is not plain JSON within the limits."""

    code = "bad_value"
    fault = "agent"


class TeamError(InterlockError):
    """The team is not valid.

    place: the keys that lead to the fault in the team file, such as ("agents", "triage", "timeout"). agents, paths:
    whom and which fields it is about, where that is known. problems: every fault found, where there are several;
    otherwise this one alone.
    """

    code = "bad_team"
    fault = "caller"

    def __init__(
        self,
        message: str = "",
        *,
        fix: str = "",
        place: tuple[str, ...] = (),
        file: str = "",
        line: int = 0,
        agents: tuple[str, ...] = (),
        paths: tuple[str, ...] = (),
    ) -> None:
        self.sentence, self.place, self.file, self.line = message or "the team is not valid", place, file, line
        self.agents, self.paths = agents, paths
        self.problems: tuple[TeamError, ...] = (self,)
        where = f"{file}:{line}: " if line else f"{file}: " if file else ""
        super().__init__(where + self.sentence, fix=fix)

    @classmethod
    def of(cls, problems: "list[TeamError]") -> "TeamError":
        """One error for all that was found: the only one, or a summary that lists them, of their kind if it is one."""
        if len(problems) == 1:
            return problems[0]
        kinds = {type(problem) for problem in problems}
        kind = kinds.pop() if len(kinds) == 1 else TeamError
        error = kind("\n".join([f"{len(problems)} problems:", *(f"  {problem}" for problem in problems)]))
        error.problems = tuple(problems)
        return error


class PlanError(TeamError):
    """The plan is not valid."""

    code = "bad_plan"


class OwnershipError(TeamError):
    """Two agents may write the same field."""

    code = "two_owners"


class RaceError(TeamError):
    """Two steps that may run at the same time may write the same field."""

    code = "race"


class ProposalRefused(InterlockError):
    """A proposed plan is not valid.

    flaws: what is wrong with it, each with `where`, `what` and `allowed`; bounded, so that there may be more.
    """

    code = "bad_proposal"
    fault = "agent"

    def __init__(self, message: str = "", *, fix: str = "", flaws: tuple[Any, ...] = ()) -> None:
        self.flaws = flaws
        super().__init__(message or "the proposed plan is not valid", fix=fix)


class UnknownPrice(TeamError):
    """A budget in US dollars bounds a model, and nobody knows what that costs."""

    code = "unknown_price"


class FaultsError(TeamError):
    """The faults that were declared can't be injected. Place, file, line and problems are those of a TeamError."""

    code = "bad_faults"

    def __init__(self, message: str = "", **where: Any) -> None:
        super().__init__(message or "the faults are not valid", **where)


class UsageError(InterlockError):
    """il.run is for programs without an event loop, and one is running here."""

    code = "bad_usage"
    fault = "caller"


class InputError(InterlockError):
    """The input can't be read."""

    code = "bad_input"
    fault = "caller"


class MissingExtra(InterlockError):
    """An optional part of Interlock is not installed."""

    code = "missing_extra"
    fault = "caller"


class NotDelivered(InterlockError):
    """What people should be told could not be delivered."""

    code = "not_delivered"
    fault = "caller"


class BrokenPromise(InterlockError):
    """Interlock has broken one of its promises; nothing was committed."""

    code = "broken_promise"


class AgentError(InterlockError):
    """The agent failed.

    usage: what the call has consumed all the same, an interlock.Usage. retry_after: for how many seconds whoever
    failed asks to be left alone; None where that is left to the agent's backoff. kind: how a failed attempt is filed.
    """

    code = "agent_failed"
    fault: ClassVar[Fault] = "agent"
    kind: ClassVar[str] = "error"
    retryable: ClassVar[bool] = True
    # An agent's own class may forget to call this one's __init__.
    usage: Any = None
    retry_after: float | None = None

    def __init__(
        self, message: str = "", *, fix: str = "", usage: Any = None, retry_after: float | None = None
    ) -> None:
        self.usage, self.retry_after = usage, retry_after
        super().__init__(message or (type(self).__doc__ or "").strip().partition("\n")[0].rstrip("."), fix=fix)


class AgentCrashed(AgentError):
    """The agent's process died."""

    code = "agent_crashed"
    kind = "crash"


class RateLimited(AgentError):
    """Too many calls or tokens in too short a time."""

    code = "rate_limited"
    kind = "rate_limited"


class Overloaded(AgentError):
    """The server behind the agent is overloaded or failed."""

    code = "overloaded"
    kind = "overloaded"


class Unreachable(AgentError):
    """The server behind the agent can't be reached, or hung up."""

    code = "unreachable"
    kind = "unreachable"


class AgentRefused(AgentError):
    """The agent can't be called again: asking once more would not help."""

    code = "agent_refused"
    kind = "refused"
    retryable = False


class BadRequest(AgentRefused):
    """The server behind the agent takes no such request."""

    code = "bad_request"
    kind = "bad_request"


class AccessDenied(AgentRefused):
    """The server behind the agent doesn't let us in."""

    code = "access_denied"
    kind = "access_denied"


class ContextTooLong(AgentRefused):
    """The request is longer than the model's context."""

    code = "context_too_long"
    kind = "context_too_long"


class NotPerformed(AgentError):
    """It is certain that the effect was not performed.

    again: whether a further try may help.
    """

    code = "not_performed"
    kind = "not_performed"

    def __init__(self, message: str = "", *, again: bool = True, **given: Any) -> None:
        super().__init__(message, **given)
        self.retryable = again  # type: ignore[misc]


class AdapterFailed(AgentRefused):
    """The adapter failed, not the agent behind it."""

    code = "adapter_failed"
    fault: ClassVar[Fault] = "interlock"
    kind = "adapter"


class ReplyRefused(AgentError):
    """The agent's answer can't be read as a reply; that counts as a refused reply, and the message is fed back.

    said: what the agent answered instead, to be kept with the attempt.
    """

    code = "reply_refused"
    said = ""

    def __init__(self, message: str = "", *, fix: str = "", usage: Any = None, said: str = "") -> None:
        self.said = said
        super().__init__(message, fix=fix, usage=usage)


class JournalError(InterlockError):
    """The journal can't be used."""

    code = "journal"


class JournalFull(JournalError):
    """The disk under the journal is full; nothing was lost and the run can be resumed."""

    code = "journal_full"


class JournalUnavailable(JournalError):
    """The journal failed while it was in use; nothing was lost and the run can be resumed."""

    code = "journal_unavailable"


class JournalTooNew(JournalError):
    """This journal was written by a newer Interlock."""

    code = "journal_too_new"
    fault = "caller"


class StaleDriver(JournalError):
    """Another process drives this run now; this one must stop."""

    code = "stale_driver"

    @classmethod
    def of(cls, run_id: str) -> "StaleDriver":
        """The error about this run."""
        return cls(f"run {run_id} is driven by another process now")


class RunNotFound(InterlockError):
    """There is no such run in this journal."""

    code = "no_such_run"
    fault = "caller"


class TeamChanged(InterlockError):
    """This run was started under another version of its team."""

    code = "team_changed"
    fault = "caller"


class DecisionRefused(InterlockError):
    """What a person decided can't be done; the question is left as it was."""

    code = "decision_refused"
    fault = "caller"


class EventNotTaken(DecisionRefused):
    """The run can't take this event."""

    code = "event_not_taken"


class SimulationError(InterlockError):
    """The simulation can't go on."""

    code = "simulation"


class RunInterrupted(InterlockError):
    """The run was stopped before its end; it can be resumed."""

    code = "interrupted"
    fault = "caller"


# How an attempt may have failed: the kind that stands in the journal -> what was raised.
FAILURES: dict[str, type[AgentError]] = {
    error.kind: error
    for error in (
        AgentError,
        AgentCrashed,
        RateLimited,
        Overloaded,
        Unreachable,
        AgentRefused,
        BadRequest,
        AccessDenied,
        ContextTooLong,
        NotPerformed,
        AdapterFailed,
    )
}


def failure_of(error: AgentError) -> type[AgentError]:
    """The class of an error, or the nearest one above an agent's own."""
    return next(kind for kind in type(error).__mro__ if kind in FAILURES.values())


# Where code lies that the user didn't write: libraries, Python's own, Interlock's.
_NOT_THE_USERS = ("site-packages", "/lib/python", "<frozen ", __file__.replace("\\", "/").rpartition("/")[0])


# Ends what was cut short: by it the piece of a secret is found that may be left before it.
CUT = "..."


def cut_short(text: str, chars_max: int) -> str:
    """A text, or as much of its beginning as leaves room for CUT."""
    return text if len(text) <= chars_max else text[: chars_max - len(CUT)] + CUT


# Take secrets out of a text. `agents.secret`, which knows them, puts its own here: what is told here is cut short, and
# half of a secret would be hard to find afterwards.
hide: Callable[[str], str] = str
excerpt: Callable[[str, int], str] = cut_short


def describe(error: BaseException) -> str:
    """What an agent raised and where, as bounded Unicode text; one whose text can't be had is named by its type."""
    name, is_ours = type(error).__name__, isinstance(error, AgentError)
    try:
        text = excerpt(str.__str__(str(error)), DESCRIPTION_CHARS_MAX)
    except BaseException:  # noqa: BLE001 - an agent's error may fail in its own __str__, with anything
        text, is_ours = "(its text can't be read)", False
    line = f"{name}: {text}" if text and not is_ours else text or name
    line = cut_short(line, DESCRIPTION_CHARS_MAX) + ("" if is_ours else _raised_in(error))
    return line.encode("utf-8", "replace").decode()


def _raised_in(error: BaseException) -> str:
    """The innermost line of the user's own code that an error came through: ` (agents.py:4 in triage)`."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not any(part in code.co_filename for part in _NOT_THE_USERS):
            file = code.co_filename.replace("\\", "/").rpartition("/")[2]
            place = f" ({file[:80]}:{trace.tb_lineno} in {code.co_name[:80]})"
        trace = trace.tb_next
    return place
