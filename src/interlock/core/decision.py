"""What a step asks of a person, and what a person decides about it: as it is asked for, bounded and read strictly."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec
from msgspec import Raw

from interlock.errors import InputError, PathError, ValueRefused

from . import given, paths
from .events import NULL, EffectWanted, says
from .job import ADVICE, ADVISED, ANSWERED, DELETE, Question
from .values import DEFAULT_LIMITS, encode

Verb = Literal["answer", "retry", "approve", "edit", "write", "reject", "skip"]

TEXT_CHARS_MAX = 8_000
REASON_CHARS_MAX = 2_000
NAME_CHARS_MAX = 200
# The writes of one commit, and what stands around them.
BODY_BYTES_MAX = DEFAULT_LIMITS.commit_bytes_max + 65_536
PERSON = "person:"


class Decision(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a person decides about one step.

    verb: answer (`text`, to an agent's question), retry (with `text` as advice), approve (the refused reply as it is,
    or the effect that waits for it), edit (`writes` and `deletes` over those of the refused reply; to delete what it
    writes is to leave that out), write (them alone, in the agent's place), reject, or skip (the step, which writes
    nothing).
    attempt, effect: which one, and the key of which effect, is decided about; asked_us: the question of when; 0 and ""
    for whichever waits. more: of the budget that a step has asked for, as it is given: `{"usd": 0.1}`.
    """

    step: str
    verb: Verb
    text: str = ""
    writes: dict[str, Any] = {}
    deletes: tuple[str, ...] = ()
    attempt: int = 0
    more: dict[str, Any] = {}
    effect: str = ""
    asked_us: int = 0


class Asked(msgspec.Struct, frozen=True):
    """What a step waits with. reply: the writes of the reply that a person may approve or edit, None if there is none.

    by_agent: the agent has asked; else its attempts are used up, and `question` says why. effect: the key of the effect
    that it is about, whose outcome nobody knows; then its agent hasn't asked, nor are its attempts used up. budget: the
    gate of the budget that it needs more of, and whose. asked_us: since when it waits. approval: it is about whether
    that effect may be performed. contradicts: it is about which of the things that others have said is right. effects:
    those of the reply, which are approved with it. plan: that which a person is asked to approve, as in QuestionAsked.
    """

    attempt: int
    question: Question
    by_agent: bool = True
    reply: Mapping[str, Any] | None = None
    reads: tuple[str, ...] = ()
    due_us: int = 0
    effect: str = ""
    budget: str = ""
    whose: str = ""
    asked_us: int = 0
    approval: bool = False
    contradicts: bool = False
    effects: tuple[EffectWanted, ...] = ()
    plan: Raw = NULL

    @property
    def about_plan(self) -> bool:
        """Whether it is about a plan, which nothing of may run before it is approved."""
        return says(self.plan)

    @property
    def may_be_skipped(self) -> bool:
        """Whether its step may be skipped instead: not where an effect waits to be settled, or a plan for approval."""
        return not self.effect and not self.about_plan

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """What a person may do about it."""
        if self.about_plan:
            return ("approve", "retry", "reject") if self.attempt else ("approve", "reject")
        if self.approval:
            return ("approve", "reject")
        if self.contradicts:
            return ("answer", "reject")
        if self.effect:
            return ("answer", "reject")
        if self.budget:
            return ("approve", "write", "retry", "reject")
        first: tuple[Verb, ...] = ("answer",) if self.by_agent else ()
        about_reply: tuple[Verb, ...] = ("approve", "edit") if self.reply is not None else ()
        return (*first, *about_reply, "write", "retry", "reject")


def person(name: str) -> str:
    """Who decides, as it is recorded. Raises InputError."""
    given.text("by", name)
    name = name.removeprefix(PERSON)
    if not name or len(name) > NAME_CHARS_MAX or not name.isprintable():
        raise InputError(f"{name!r:.100} can't be recorded as who decides", fix="name a person, such as eve")
    return PERSON + name


def decided(
    step: str,
    verb: Verb,
    *,
    text: str = "",
    writes: Mapping[str, Any] | None = None,
    attempt: int = 0,
    more: Mapping[str, float] | None = None,
    effect: str = "",
    asked_us: int = 0,
) -> Decision:
    """A decision from what a person gives; writes may hold DELETE. Raises InputError."""
    given.texts(step=step, text=text, effect=effect)
    given.one_of("verb", verb, get_args(Verb))
    if verb == "write" and writes is None:
        raise InputError("to write is to say what", fix='name it, such as writes={"ticket.category": "billing"}')
    writes, more = {} if writes is None else writes, {} if more is None else more
    given.by_name("writes", writes, '{"ticket.category": "billing"}')
    given.by_name("more", more, '{"usd": 0.10}, {"tokens": 4000} or {"calls": 5}')
    if writes and verb not in {"write", "edit"}:
        raise InputError(
            f"to {verb} is to write nothing", fix="write does so in the agent's place, edit over its reply"
        )
    given.whole("attempt", attempt)
    given.whole("asked_us", asked_us)
    try:
        for path, value in writes.items():
            if value is not DELETE:
                encode(value, DEFAULT_LIMITS, BODY_BYTES_MAX)
            encode(path)
        for part in (text, dict(more), effect):
            encode(part, DEFAULT_LIMITS, BODY_BYTES_MAX)
    except ValueRefused as error:
        raise InputError(f"the decision about {step} can't be stored: {error.message}") from error
    deletes = tuple(path for path, value in writes.items() if value is DELETE)
    kept = {path: value for path, value in writes.items() if value is not DELETE}
    return Decision(step, verb, text, kept, deletes, attempt, dict(more), effect, asked_us)


def encoded(decision: Decision) -> bytes:
    """A decision as a request carries it. Raises InputError where it is too large."""
    body: bytes = msgspec.json.encode(decision)
    if len(body) > BODY_BYTES_MAX:
        raise InputError(f"the decision about {decision.step} is {len(body):,} bytes, more than {BODY_BYTES_MAX:,}")
    return body


def decoded(body: bytes) -> Decision:
    """The decision that a request carries. Raises InputError."""
    if not isinstance(body, bytes):  # of a row that somebody else has written
        raise InputError("a decision can't be read: it is no bytes")
    if len(body) > BODY_BYTES_MAX:
        raise InputError(f"a decision is {len(body):,} bytes, more than {BODY_BYTES_MAX:,}")
    try:
        return msgspec.json.decode(body, type=Decision)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"a decision can't be read: {error}") from error


def told(asked: Asked, decision: str, text: str, feedback: tuple[str, ...]) -> tuple[str, ...]:
    """What the next attempt is told; the last sentence is the person's own text. feedback: that of the last refusal."""
    if asked.by_agent:
        head = ANSWERED if decision == "answer" else ADVISED
        return (head + asked.question.text, text) if text else ()
    return (*feedback, ADVICE, text) if text else feedback


# --- what is written ---


def laid_over(writes: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Writes with changes: a path that lies inside of a written object changes that object.

    DELETE for what is written leaves it out; for anything else it deletes.
    """
    found, malformed = dict(writes), dict[str, Any]()
    for name, value in changes.items():
        try:
            path = paths.canonical(name)
        except PathError:
            malformed[name] = value  # which is refused for it
            continue
        under = [other for other in found if paths.inside(other, path)]
        if value is DELETE and under:
            found = {other: kept for other, kept in found.items() if other not in under}
            continue
        for below in under:
            if below != path:
                del found[below]
        above = next((prefix for prefix in paths.prefixes(path) if isinstance(found.get(prefix), dict)), None)
        if above is None or path in found:
            found[path] = value
        else:
            found[above] = _changed(found[above], paths.split(path)[len(paths.split(above)) :], value)
    return found | malformed


def _changed(tree: Any, keys: Sequence[str], value: Any) -> Any:
    """A copy of a tree of objects with another value where these keys lead."""
    if not keys:
        return value
    key, *rest = keys
    copy = dict(tree) if isinstance(tree, dict) else {}
    if value is DELETE and not rest:
        copy.pop(key, None)
    else:
        copy[key] = _changed(copy.get(key), rest, value)
    return copy
