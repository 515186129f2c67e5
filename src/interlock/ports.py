"""The seams: what the engine needs from a journal and from an agent, and the records that cross them.

Implementations are chosen in `wiring` alone.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from interlock.core.events import AnyEvent
from interlock.core.gate import AtGate, Outcome
from interlock.core.job import Job
from interlock.core.notice import Notice, Posted

Result = TypeVar("Result")


class Opening(msgspec.Struct, frozen=True):
    """What a journal keeps of a new run beside its events.

    team, plan: the hashes it is pinned to; the team's is that of its document, which is kept as a blob. source: the
    team file it was started from, so that it can be resumed by name alone. batch, row: where its request came from (row
    from 0). parent: the run a step of which it does, and which has not ended; "" where it was asked for by itself.
    """

    team: str
    plan: str
    source: str = ""
    batch: str = ""
    row: int = 0
    parent: str = ""


class RunRow(msgspec.Struct, frozen=True):
    """A run as lists show it: a projection of its events.

    ended_us is 0 while it goes on. faults: the hash of those injected on purpose; empty for an ordinary run. parent:
    the run a step of which it does; "" where it was asked for by itself. damage: what is wrong with a row of a list
    that is damaged; what could not be read is empty or 0 then.
    """

    run_id: str
    status: str
    reason: str
    team: str
    plan: str
    source: str
    batch: str
    row: int
    started_us: int
    ended_us: int
    faults: str = ""
    parent: str = ""
    damage: str = ""


class LetterRow(msgspec.Struct, frozen=True):
    """A step that was given up, as lists show it: a projection of events.

    agent: whose step it is. source, batch: those of its run. redriven_run: the run in which it was tried again, which
    may be its own; "" while nobody has. redriven_by, redriven_reason: who did that, and why. outcome: how that run
    stands now. above: where its run does a step of another that was given up as well, the name of that letter; or "".
    """

    run_id: str
    step: str
    agent: str
    reason: str
    attempts: int
    at_us: int
    source: str
    batch: str
    redriven_run: str = ""
    redriven_us: int = 0
    redriven_by: str = ""
    redriven_reason: str = ""
    outcome: str = ""
    above: str = ""

    @property
    def name(self) -> str:
        """Its name for people and commands."""
        return f"{self.run_id}/{self.step}"


class Letters(msgspec.Struct, frozen=True):
    """Which dead letters are meant: those with all that is given here.

    source: a team file. reason: a text that the reason holds. since_us: given up then or later. waiting: not redriven.
    """

    run_id: str = ""
    step: str = ""
    agent: str = ""
    source: str = ""
    batch: str = ""
    reason: str = ""
    since_us: int = 0
    waiting: bool = False


class Batch(msgspec.Struct, frozen=True):
    """Many requests for one team, stored before the first of them runs. `origin` says where they came from."""

    batch_id: str
    team: str
    source: str
    origin: str
    started_us: int
    rows: int


# Of who asks for something, and why, so many characters are read.
REQUEST_CHARS_MAX = 4_000


class Request(msgspec.Struct, frozen=True):
    """What is asked of the driver of a run: `cancel`, or with JSON in `body`: `decide`, `event`.

    `child`: that it looks at the run `by`, which does one of its steps, and has ended or is parked.
    """

    request_id: str
    run_id: str
    kind: str
    by: str
    reason: str = ""
    body: bytes = b""


class WaitingQuestion(msgspec.Struct, frozen=True):
    """A step that waits for a person: a projection of its run's events.

    text: the question, or why a person is needed. due_us: when the wait ends by itself; 0 for never. team, source: of
    its run, as in RunRow.
    """

    run_id: str
    step: str
    attempt: int
    text: str
    asked_us: int
    due_us: int = 0
    team: str = ""
    source: str = ""


class WaitingStep(msgspec.Struct, frozen=True):
    """A step that waits for a time or an event: a projection of its run's events.

    event: its name; "" where it waits for a time alone. due_us: when the wait ends by itself; 0 for never. team,
    source: of its run, as in RunRow.
    """

    run_id: str
    step: str
    event: str
    since_us: int
    due_us: int = 0
    team: str = ""
    source: str = ""


class Posting(msgspec.Struct, frozen=True):
    """What a team's people are told of the events of one append: each notice with the recipient that gets it."""

    team: str
    notices: Sequence[Posted]


NOTHING_POSTED = Posting("", ())
# No notice is put off for longer; one that is was put off by a clock that was wrong.
PUT_OFF_US_MAX = 2 * 3_600_000_000


class Taken(msgspec.Struct, frozen=True):
    """A notice that somebody has taken to deliver."""

    number: int
    recipient: str
    notice: Notice


Told = Sequence[tuple[str, Outcome]]
# Given the names of gates, what has a turn at them, and what this takes before what it finds there.
AtGates = Callable[..., Any]
Also = Callable[[AtGates], Sequence[AnyEvent]]
# Of what a breaker did, so much is kept.
MOVES_KEPT_MAX = 100


class Journal(Protocol):
    """Durable events, one ordered stream per run.

    Only the driver of a run appends to it. A journal handle becomes a driver with its first append or claim; it owns
    the runs it opens and claims until it is closed or its process dies.
    """

    def append(  # noqa: PLR0913 - what is durable together, by name
        self,
        run_id: str,
        expected_seq: int,
        events: Sequence[AnyEvent],
        *,
        opening: Opening | None = None,
        settles: Sequence[str] = (),
        asks: Sequence[Request] = (),
        told: Told = (),
        posting: Posting = NOTHING_POSTED,
        also: Also | None = None,
    ) -> "asyncio.Future[None]":
        """Add events to a run; the future is done when they are durable, all or none. It may be done already.

        expected_seq: how many events the run has; `opening` comes with the first. settles: ids of requests that these
        events answer. asks: requests of other runs that follow from these events; those of runs that are over, or
        aren't there, are dropped. told: what these events say to gates, by the gate's name. posting: what people are
        told of them.
        also: given how to have a turn at gates once they were told, returns events that are added to these; only a
        journal that can do all of that at once calls it, within the append. Raises StaleDriver if the run has other
        events or another owner, or a letter that these events redrive was redriven by somebody else; JournalFull if the
        disk is full.
        """

    async def load(self, run_id: str) -> list[AnyEvent]:
        """All events of a run. Raises RunNotFound."""

    async def run(self, run_id: str) -> RunRow:
        """One run. Raises RunNotFound."""

    async def runs(
        self, *, status: str = "", batch: str = "", limit: int = 50, before: str = "", top: bool = False
    ) -> list[RunRow]:
        """The newest runs first, at most `limit`; 0 for all. before: only those opened before this run.

        top: only those that do no step of another.
        """

    async def claim(
        self, run_id: str = "", *, team: str = "", source: str | None = None, ended: bool = False
    ) -> list[RunRow]:
        """Become the owner of one run, parked or running, or of all running runs and batches.

        team, source: only those of the team with this hash, or from this team file. ended: the one run may have ended;
        it is to be reopened.

        Takes only what nobody alive owns, and returns that together with what this handle owned already.
        """

    def at_gates(
        self, names: Sequence[str], turn: Callable[[Sequence[AtGate]], "Result"], runs: Sequence[str] = ()
    ) -> "asyncio.Future[Result]":
        """Have a turn at some gates, alone among all processes; what it returns, once what it changed is durable.

        runs: those that ask there. Raises StaleDriver, before the turn, where another handle drives one of them by now.
        The turn may run in another thread, must be quick, and may be run again where it failed. The future may be done
        already.
        """

    async def gates(self) -> list[tuple[str, AtGate]]:
        """All gates by name, as they are, with what the last moves of their breakers were (the newest first)."""

    async def letters(self, wanted: Letters, limit: int = 50) -> list[LetterRow]:
        """The newest dead letters first, at most `limit`; 0 for all."""

    async def purge(self, letters: Sequence[tuple[str, str]]) -> int:
        """Take dead letters, each (run id, step), off the list; returns how many. Their events stay.

        Those that were redriven stay, too: nothing else keeps them from being redriven again.
        """

    async def take_notices(self, team: str, recipient: str, now_us: int, until_us: int, limit: int) -> list[Taken]:
        """Take notices of a team for one recipient that are due, the oldest first.

        Nobody else gets them until `until_us`. Whoever takes them settles them; those of a taker that died are due
        again after that time. What is over is not among them, and nobody gets it any more: a question that doesn't
        wait, a letter that was redriven or purged.
        """

    async def settle_notices(self, numbers: Sequence[int], again_us: int = 0) -> None:
        """Notices that were taken are done with; or they are due again at `again_us`."""

    async def forget_notices(self, team: str, before_us: int) -> int:
        """Drop a team's notices, for whatever recipient, that are older; returns how many there were."""

    async def put_blob(self, data: bytes) -> str:
        """Keep content under its hash, once; returns the hash."""

    async def blob(self, key: str) -> bytes:
        """The content with this hash. Raises JournalError."""

    async def open_batch(self, batch: Batch, requests: Iterable[bytes]) -> None:
        """Store a batch with all its requests; this handle owns it."""

    async def batch(self, batch_id: str) -> Batch:
        """One batch. Raises RunNotFound."""

    async def batches(self) -> list[Batch]:
        """The batches this handle owns that have rows without a run."""

    def pending(self, batch_id: str) -> AsyncIterator[tuple[int, bytes]]:
        """The rows of a batch that have no run yet, in order: (row, request as JSON)."""

    async def ask(self, request: Request) -> None:
        """Leave a request for the driver of a run. Asking twice with one id is asking once. Raises RunNotFound."""

    async def requests(self, run_id: str) -> list[Request]:
        """The unanswered requests for a run."""

    async def asked(self) -> list[str]:
        """The parked runs of which something is asked that nobody has answered."""

    async def settle(self, requests: Sequence[str]) -> None:
        """Requests of these ids are answered, and no event follows from them."""

    async def questions(self, run_id: str = "") -> list[WaitingQuestion]:
        """What waits for a person, in one run or in all, the oldest first."""

    async def waits(self, run_id: str = "") -> list[WaitingStep]:
        """What waits for a time or an event, in one run or in all, the oldest first."""

    def listen(self, hear: Callable[[Request], None]) -> None:
        """Call `hear` in the event loop for requests that come in for runs this handle owns."""

    async def close(self) -> None:
        """Give up ownership and close. Pending appends are finished first."""


class Began(Protocol):
    """Says that an agent's own work begins now. fault: how the call is broken on purpose, by the test tools."""

    def __call__(self, *, fault: str = "") -> None:
        """Say it."""


def unheard(*, fault: str = "") -> None:
    """A `began` that nobody listens to: no timeout runs from there."""


class Partial(msgspec.Struct, frozen=True):
    """What an agent has said so far of an answer that may never be finished. text: what has come since the last one."""

    run_id: str
    step: str
    agent: str
    attempt: int
    text: str


# Whom the call that is under way may tell its text while it comes; set by the engine in the context of each call.
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


def listener() -> Callable[[str], None] | None:
    """Whom an adapter tells the text of an answer while it comes, piece by piece; None where nobody listens."""
    return _listener.get()


def listen(hear: Callable[[str], None]) -> None:
    """Have the call in this context told to `hear` while it comes."""
    _listener.set(hear)


@runtime_checkable
class Adapter(Protocol):
    """An agent as the engine calls it.

    `slots` bounds the calls in flight at once; None leaves that to the engine. A call must end soon after it is
    cancelled; its work must have stopped by then.
    """

    slots: int | None

    async def call(self, job: Job, began: Began) -> Any:
        """The agent's answer, not yet assessed.

        Calls `began` when the agent's own work begins: its timeout runs from there, and what comes before must bound
        itself. Raises AgentError for failures that say whether trying again helps, ReplyRefused for an answer that is
        no reply.
        """

    async def close(self) -> None:
        """Stop whatever is kept warm between calls."""


class Performer(Protocol):
    """One kind of effect as the engine has it performed. `slots` bounds the performances in flight at once."""

    slots: int | None

    async def perform(self, payload: Any, idempotency_key: str, began: Began) -> Any:
        """Perform it once; its result. Calls `began` when the work begins: the timeout runs from there.

        Raises NotPerformed or AgentRefused where it is certain that nothing was done, ReplyRefused where it was done
        and the result can't be kept. After any other error nobody knows.
        """

    async def close(self) -> None:
        """Stop whatever is kept between performances."""


class Message(msgspec.Struct, frozen=True):
    """What one recipient is told at once: a title and a text for people, and the notices that these are about.

    Without notices it is a test.
    """

    team: str
    title: str
    text: str
    notices: tuple[Notice, ...] = ()


class Recipient(Protocol):
    """Somebody, or something, who is told of notices.

    reasons: whether they are told why it came to something, too, which may hold what agents have said.
    """

    name: str
    reasons: bool

    def check(self) -> None:
        """Raise MissingExtra or AccessDenied where nothing could be delivered, for want of a part or of a secret."""

    async def deliver(self, message: Message) -> None:
        """Have them told. Raises NotDelivered, or anything else. May be called again with what has come through."""


class Secrets(Protocol):
    """The values that must not be told or stored, by the names of what they are. Without any it is false."""

    def __bool__(self) -> bool: ...

    def refresh(self) -> None:
        """Look again at what there is: an engine starts."""

    def among(self, raw: bytes) -> str:
        """The name of one whose value stands in these bytes of JSON; "" where there is none. Called for every fact."""

    def hidden(self, text: str) -> str:
        """A text with names in the place of values."""

    def hidden_so_far(self, text: str) -> tuple[str, str]:
        """Of a text that goes on, what can be told by now, `hidden`; and the rest, with which a value may begin."""
