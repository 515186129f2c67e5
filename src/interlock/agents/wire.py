"""What travels between the engine and a worker process, as JSON: its setup, an agent to load, a job; and the reply."""

from typing import Any

import msgspec

from interlock.core.context import View
from interlock.core.job import DELETE, Effect, Job, Question, Reply, Request, Usage
from interlock.core.values import Limits
from interlock.errors import FAILURES, AgentError, AgentRefused, ReplyRefused

# A frame is its length, the nonce of its exchange, and JSON. Every reply bears the nonce of its question, so that
# nothing an agent or its children send unasked is taken for the answer to the next one.
LENGTH_BYTES = 8
NONCE_BYTES = 16
# The kind of an error that isn't one of a call: what was asked for can't be had.
NO_REPLY = "no_reply"


def reply_bytes_max(limits: Limits) -> int:
    """How large a reply may be on its way: its writes, its output, and what stands around them."""
    return limits.commit_bytes_max + 2 * limits.value_bytes_max


class Binding(msgspec.Struct, frozen=True):
    """What a worker makes of a reference, where that isn't the function it names: an agent of a framework.

    module: one of ours; its `bound(reference, options, find)` makes the function that is called with a job.
    """

    module: str
    options: dict[str, Any] = {}


class Setup(msgspec.Struct, tag="setup"):
    """The first message: whose worker it is (a process id), where it imports from, and what a reply may hold.

    import_path: empty for that of the worker's own environment. folder: the team's, empty for none. binding: what it
    makes of references.
    """

    parent: int
    folder: str
    import_path: list[str]
    limits: Limits
    binding: Binding | None = None


class Load(msgspec.Struct, tag="load"):
    """Import an agent."""

    reference: str


class Loaded(msgspec.Struct, omit_defaults=True):
    """The agent is imported, or `error` says why not."""

    error: str = ""


class WorkerJob(msgspec.Struct, tag="job"):
    """A job whose view is spelled out: the agent sees the same, and counts as having read all of it."""

    reference: str
    spelled_out: Job

    def job(self) -> Job:
        """The job as the agent gets it."""
        return seen(self.spelled_out)


def seen(spelled_out: Job) -> Job:
    """A job whose view is spelled out, as an agent gets it."""
    return msgspec.structs.replace(spelled_out, view=View.of(spelled_out.view))


def job_message(reference: str, job: Job) -> bytes:
    """A job on its way to a worker."""
    return msgspec.json.encode(WorkerJob(reference, _spelled_out(job)))


def _spelled_out(job: Job) -> Job:
    assert isinstance(job.view, View)
    return msgspec.structs.replace(job, view=job.view.to_dict())


class WorkerTool(msgspec.Struct, tag="tool"):
    """A call of a tool's function, by a model. job: where the function takes it, with its view spelled out."""

    reference: str
    arguments: dict[str, Any]
    job: Job | None = None


class WorkerEffect(msgspec.Struct, tag="effect"):
    """An effect to be performed by a function."""

    reference: str
    payload: Any
    idempotency_key: str


def tool_message(reference: str, arguments: dict[str, Any], job: Job | None) -> bytes:
    """The call of a tool on its way to a worker."""
    return msgspec.json.encode(WorkerTool(reference, arguments, None if job is None else _spelled_out(job)))


class WorkerAsks(msgspec.Struct):
    """An agent waits for an effect."""

    effect: str
    payload: Any
    key: str


class WorkerPerformed(msgspec.Struct, tag="performed"):
    """What came of that effect: its result, or `error` and of which kind that is."""

    result: Any = None
    error: str = ""
    kind: str = ""

    def outcome(self) -> Any:
        """The result. Raises AgentError."""
        if self.error:
            raise (ReplyRefused if self.kind == NO_REPLY else FAILURES.get(self.kind, AgentRefused))(self.error)
        return self.result


class WorkerReply(msgspec.Struct, omit_defaults=True):
    """A worker's answer. asks: it is none yet, its agent waits for an effect.

    error: what the agent raised, of which kind it is, and for how long it asks to be left alone. no_reply: why
    what it returned is none; said: what that was.
    """

    writes: dict[str, Any] = {}
    deletes: tuple[str, ...] = ()
    output: Any = None
    usage: Usage | None = None
    confidence: Any = None
    ask: Question | None = None
    effects: tuple[Effect, ...] = ()
    request: Request | None = None
    error: str = ""
    kind: str = ""
    retry_after: float | None = None
    no_reply: str = ""
    said: str = ""
    asks: WorkerAsks | None = None


def answer_of(reply: WorkerReply) -> Reply:
    """What the engine assesses. Raises AgentError for what the agent raised, ReplyRefused for what is no reply."""
    if reply.error:
        raise FAILURES.get(reply.kind, AgentError)(reply.error, usage=reply.usage, retry_after=reply.retry_after)
    if reply.no_reply:
        raise ReplyRefused(reply.no_reply, usage=reply.usage, said=reply.said)
    writes = reply.writes | dict.fromkeys(reply.deletes, DELETE)
    return Reply(
        writes=writes,
        output=reply.output,
        usage=reply.usage,
        confidence=reply.confidence,
        ask=reply.ask,
        effects=reply.effects,
        request=reply.request,
    )
