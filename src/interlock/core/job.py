"""The job an agent is handed for one step, and the reply it returns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from interlock.errors import AgentRefused

# What goes before a person's own words in the feedback of an attempt.
ANSWERED = "A person has answered your question: "
ADVISED = "A person has not answered your question, but advises you: "
ADVICE = "A person advises:"
APPROVED = "A person has approved the effect "


class _Delete:
    """The one value that deletes a path instead of writing it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "interlock.DELETE"


DELETE = _Delete()


class Job(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What an agent is handed for one attempt of one step.

    view: the part of the context this step may see, a read-only mapping of dotted paths. feedback: why the last
    attempt was refused, one sentence each, or what a person has said, whose own words come last; empty at first.
    idempotency_key: the same when a call lost in a crash is issued again. item, index: of a `for_each` (index from 0);
    of `samples` the index alone (from 1). writes: the patterns of what may be written. schemas: the JSON Schemas over
    the writes that a reply is checked against, as text. answer: what a person has said last about this step, in an
    earlier attempt; empty if nobody has. requests: those that the agent may make here. draft: of a judge, the reply
    that it judges; None for all others. progress: of an agent that decides about the plan, how the run stands.
    conflicts: of one that judges what contradicts itself, by path what was said, under its number, and by which steps.
    """

    view: Mapping[str, Any]
    run_id: str
    step: str
    agent: str
    action: str
    attempt: int
    idempotency_key: str
    instructions: str = ""
    feedback: tuple[str, ...] = ()
    item: Any = None
    index: int | None = None
    writes: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    answer: str = ""
    requests: tuple["Request", ...] = ()
    draft: Mapping[str, Any] | None = None
    progress: Mapping[str, Any] | None = None
    conflicts: Mapping[str, Any] | None = None

    def effect(self, effect: str, payload: Any = None, *, key: str = "") -> Any:
        """Have an effect performed now, for its result: `await job.effect(...)`; without await in a sync agent.

        payload, key: as in Effect. For agents that are declared with `effects: immediate`. An effect that was performed
        before, for the same key and payload, isn't performed again: its result is the one that was recorded. Raises
        AgentError where it wasn't performed, or where nobody knows.
        """
        perform = performing(self)
        if perform is None:
            raise AgentRefused("no effect can be performed: the team has none, or this job isn't one of a run")
        return perform(effect, payload, key)


Perform = Callable[..., Any]


def connect(job: Job, perform: Perform) -> None:
    """Let whoever is handed this job have effects performed. It isn't part of what the job says."""
    vars(job)["perform"] = perform


def performing(job: Job) -> Perform | None:
    """What performs the effects of a job: it takes name, payload and key."""
    found: Perform | None = vars(job).get("perform")
    return found


def idempotency_key(run_id: str, step: str, attempt: int) -> str:
    """The key of one attempt: the same when a call that was lost in a crash is issued again."""
    return f"{run_id}/{step}/{attempt}"


def effect_key(run_id: str, step: str, key: str) -> str:
    """The idempotency key of an effect: the same however often its step is tried and its run resumed."""
    return f"{run_id}/{step}/effect:{key}"


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one call consumed.

    usd is None where tokens, or requests, have an unknown price: unknown is never zero. cached_tokens: how many of the
    input tokens came out of the provider's cache. requests: how many were made to the model; 0 where that isn't known.
    model: the one that answered last.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = None
    cached_tokens: int = 0
    requests: int = 0
    model: str = ""


class Question(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A question to a person: `text`, and what the person may choose from (free text where empty)."""

    text: str
    choices: tuple[str, ...] = ()


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that another step of the plan runs: the branch which the requester's step declares for this action.

    action: one of the agent's allowed actions. to: the agent that does the branch, or the id of its step. It carries
    nothing else: what the other agent is to know is written to the context, where it passes both scopes.
    """

    action: str
    to: str


class Effect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something to be changed out there once the reply that asks for it is committed: a mail, a payment.

    effect: one of the team's effects. payload: plain JSON, what its function is given. key: which of the step's effects
    it is, the same whenever the step is done again; the name of the effect where none is given.
    """

    effect: str
    payload: Any = None
    key: str = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent returns. A plain dict is taken for its writes.

    writes: dotted path -> JSON value, or DELETE. output: any JSON value to keep with the attempt, outside the context.
    usage: what the call consumed. confidence: the agent's own estimate, 0 to 1. ask: a question to a person instead of
    writes; the run is parked with it. effects: what is performed after the commit, in this order, before any step that
    needs this one begins. request: that a declared branch of the plan runs once the reply is committed.
    """

    writes: Mapping[str, Any] = {}
    output: Any = None
    usage: Usage | None = None
    confidence: float | None = None
    ask: Question | None = None
    effects: Sequence[Effect] = ()
    request: Request | None = None
